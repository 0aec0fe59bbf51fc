import hashlib
import json
import os
import pathlib
import sys

import keras
import pytest
import tensorflow as tf

from keras_genimg.models import VAE
from keras_genimg.serving import publish
from tests.conformance import registry
from tests.subprocesses import run_python

pytestmark = pytest.mark.slow

MODELS = ("PixelRNN_plain", "VAE", "DRAW")


def be_busy():
    """Use up numbers that TensorFlow and Keras put into names."""

    @tf.function
    def count(start):
        return tf.while_loop(lambda i: i < 9, lambda i: i + 1, [start])

    count(tf.constant(2))
    layers = [keras.layers.Dense(2), keras.layers.LSTM(2), keras.layers.ReLU()]
    keras.Sequential(layers[1:] + layers[:1])(tf.ones((1, 2, 3)))
    VAE((3, 5, 1), 2, 3).generate(1, seed=0)


def hashes(directory):
    """Return the SHA-256 of all files by path."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def publish_all(base, files):
    """Publish files; return the hashes of each by its stem."""
    result = {}
    for file in map(pathlib.Path, files):
        options = {"verify": False, "verbose": False, "xla_twins": file.stem == "VAE"}
        result[file.stem] = hashes(publish(file, base, file.stem, **options))
    return result


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
    arguments = ["-m", "tests.serving.test_same_bytes", folder / "new", *files]
    printed = run_python(*arguments, PYTHONHASHSEED=seed)
    return busy, json.loads(printed)


@pytest.mark.parametrize("name", MODELS)
def test_two_processes_write_the_same_bytes(published, name):
    busy, new = published
    assert len(new[name]) >= 5 and busy[name] == new[name]


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


if __name__ == "__main__":  # In the new process.
    print(json.dumps(publish_all(sys.argv[1], sys.argv[2:])))
