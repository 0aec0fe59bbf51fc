import json
import os
import pathlib

import keras
import pytest

from keras_genimg.models import VAE
from tests.conformance import registry
from tests.serving.publish_and_hash import be_busy, hashes, publish_all
from tests.subprocesses import run_python

pytestmark = pytest.mark.slow

SCRIPT = pathlib.Path(__file__).with_name("publish_and_hash.py")
MODELS = ("PixelRNN_plain", "VAE", "DRAW")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Return the hashes of published files by model, of this and of a new process.

    The new process has another seed of Python's hashes; in this one, TensorFlow and
    Keras did other work before, so their counters of functions and layers are higher.
    """
    folder = tmp_path_factory.mktemp("published")
    keras.utils.set_random_seed(0)
    files = []
    for name in MODELS:
        files.append(folder / f"{name}.keras")
        registry.MODELS[name].make().save(files[-1])
    be_busy()
    busy = publish_all(folder / "busy", files[::-1])
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    printed = run_python(SCRIPT, folder / "new", *files, PYTHONHASHSEED=seed)
    return busy, json.loads(printed)


@pytest.mark.parametrize("name", MODELS)
def test_two_processes_write_the_same_bytes(published, name):
    busy, new = published
    assert set(new[name]) >= {
        "saved_model.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "assets.extra/metadata.json",
        "assets.extra/tf_serving_warmup_requests",
    }
    assert busy[name] == new[name]


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
