import json
import pathlib

import keras
import pytest

from keras_genimg.models import VAE
from tests.conformance import registry
from tests.serving.publish_and_hash import hashes
from tests.subprocesses import run_python

SCRIPT = pathlib.Path(__file__).with_name("publish_and_hash.py")
MODELS = ("PixelRNN_plain", "VAE", "DRAW")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Return the hashes of published files, by process, model and attempt."""
    folder = tmp_path_factory.mktemp("published")
    keras.utils.set_random_seed(0)
    files = []
    for name in MODELS:
        files.append(folder / f"{name}.keras")
        registry.MODELS[name].make().save(files[-1])
    processes = {
        "first": {"PYTHONHASHSEED": "1"},
        "busy": {"PYTHONHASHSEED": "2", "BUSY": "1"},
    }
    printed = {
        name: run_python(SCRIPT, folder / name, *files, timeout=600, **environment)
        for name, environment in processes.items()
    }
    return {name: json.loads(text) for name, text in printed.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_two_processes_write_the_same_bytes(published, name):
    (first,) = published["first"][name]
    assert set(first) >= {
        "saved_model.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "assets.extra/metadata.json",
        "assets.extra/tf_serving_warmup_requests",
    }
    assert published["busy"][name] == [first, first]


def test_one_process_writes_the_same_bytes(tmp_path):
    model = registry.MODELS["VAE"].make()
    model.export(tmp_path / "first", verbose=False)
    VAE((3, 4, 1), 2, 3).export(tmp_path / "other", verbose=False)
    model.compile("sgd")
    model.export(tmp_path / "second", verbose=False)
    first = hashes(tmp_path / "first")
    assert hashes(tmp_path / "second") == first
    # It would hold a random number, and hashes of other bytes.
    assert "fingerprint.pb" not in first
    weights = model.get_weights()
    weights[0][0, 0] += 1
    model.set_weights(weights)
    model.export(tmp_path / "third", verbose=False)
    third = hashes(tmp_path / "third")
    assert third["saved_model.pb"] == first["saved_model.pb"]
    data = "variables/variables.data-00000-of-00001"
    assert third[data] != first[data]
