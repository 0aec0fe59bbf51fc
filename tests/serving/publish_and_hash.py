"""Publish `.keras` files and print the SHA-256 of every published file as JSON.

    publish_and_hash.py BASE FILES_TO_PUBLISH_TWICE...

Where the environment variable BUSY is set, TensorFlow and Keras do other work first, so
that the counters behind the names of functions and layers start elsewhere.
"""

import hashlib
import json
import os
import pathlib
import sys

import keras
import tensorflow as tf

from keras_genimg.models import VAE
from keras_genimg.serving import publish


def work():
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
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def main(base, *files):
    if "BUSY" in os.environ:
        work()
    result = {}
    for file in map(pathlib.Path, files):
        for attempt in (1, 2):
            path = publish(
                file, base, file.stem, verify=False, verbose=False, xla_twins=True
            )
            result[f"{file.stem} {attempt}"] = hashes(path)
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
