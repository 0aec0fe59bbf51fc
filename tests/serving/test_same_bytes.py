import json
import pathlib

import keras
import pytest

from keras_genimg.models import DRAW, VAE, PixelCNN, PixelRNN
from keras_genimg.serving import verify
from tests.subprocesses import run_python

SCRIPT = pathlib.Path(__file__).with_name("publish_and_hash.py")
MODELS = {
    "pixel_cnn": lambda: PixelCNN((3, 4, 3), 4, 1, num_classes=3, head_filters=5),
    "pixel_rnn": lambda: PixelRNN((3, 4, 1), 4, 1),
    "vae": lambda: VAE((3, 4, 1), 2, 4),
    "draw": lambda: DRAW((4, 4, 1), 2, 4, 2, read_size=2, write_size=2),
}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Return the folder and the hashes of files, by process and by model."""
    folder = tmp_path_factory.mktemp("published")
    keras.utils.set_random_seed(0)
    files = []
    for name, make in MODELS.items():
        files.append(folder / f"{name}.keras")
        make().save(files[-1])
    processes = {"first": {}, "second": {"BUSY": "1"}}
    printed = {
        name: run_python(
            SCRIPT, folder / name, *files, PYTHONHASHSEED=str(len(name)), **environment
        )
        for name, environment in processes.items()
    }
    return folder, {name: json.loads(text) for name, text in printed.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_two_processes_write_the_same_bytes(published, name):
    _, hashes = published
    first = hashes["first"][f"{name} 1"]
    assert set(first) >= {
        "saved_model.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "assets.extra/metadata.json",
        "assets.extra/tf_serving_warmup_requests",
    }
    assert hashes["first"][f"{name} 2"] == first
    assert hashes["second"][f"{name} 1"] == first
    assert hashes["second"][f"{name} 2"] == first


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_and_bytes_that_can_be_served(published, name):
    folder, _ = published
    report = verify(folder / "second" / name / "2", verbose=False)
    assert report.passed, str(report)
