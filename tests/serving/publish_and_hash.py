"""Publish `.keras` files and print the SHA-256 of every published file as JSON.

    publish_and_hash.py BASE FILES...

The models are published below BASE under the stems of the files.
"""

import hashlib
import json
import pathlib
import sys

import keras
import tensorflow as tf

from keras_genimg.models import VAE
from keras_genimg.serving import publish


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


if __name__ == "__main__":
    print(json.dumps(publish_all(sys.argv[1], sys.argv[2:])))
