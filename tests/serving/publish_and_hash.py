"""Publish `.keras` files and print the SHA-256 of every published file as JSON.

    publish_and_hash.py BASE FILES...

With the environment variable BUSY, it publishes each file twice, and TensorFlow and
Keras do other work first, so that their counters of functions and layers start higher.
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
    busy = "BUSY" in os.environ
    if busy:
        work()
    result = {}
    for file in map(pathlib.Path, files):
        options = {"verify": False, "verbose": False, "xla_twins": file.stem == "vae"}
        result[file.stem] = [
            hashes(publish(file, base, file.stem, **options))
            for _ in range(2 if busy else 1)
        ]
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
