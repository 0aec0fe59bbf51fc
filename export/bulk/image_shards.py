"""Formats of drawn images.

Each writer takes a path and batches, which are dicts of arrays: `seed`, `images`, and
`label` for class-conditional models.
"""

import os
from typing import Any

import numpy as np


def write_tfrecord(path, batches):
    """Write `tf.train.Example` records: a PNG file `image`, and integers."""
    import tensorflow as tf

    def integer(value):
        return tf.train.Feature(int64_list={"value": [int(value)]})

    with tf.io.TFRecordWriter(path) as writer:
        for batch in batches:
            files = tf.io.encode_png(batch.pop("images")).numpy()
            for position, file in enumerate(files):
                features = {"image": tf.train.Feature(bytes_list={"value": [file]})}
                for name, values in batch.items():
                    features[name] = integer(values[position])
                example = tf.train.Example(features={"feature": features})
                writer.write(example.SerializeToString(deterministic=True))


def write_npz(path, batches):
    """Write arrays of all images of the shard."""
    batches = list(batches)
    arrays: dict[str, Any] = {
        name: np.concatenate([b[name] for b in batches]) for name in batches[0]
    }
    with open(path, "xb") as opened:
        np.savez_compressed(opened, **arrays)


def write_png(path, batches):
    """Write a folder of files `SEED.png`."""
    import tensorflow as tf

    os.mkdir(path)
    for batch in batches:
        files = tf.io.encode_png(batch["images"]).numpy()
        for seed, file in zip(batch["seed"], files, strict=True):
            with open(os.path.join(path, f"{seed}.png"), "xb") as opened:
                opened.write(file)


# Writer and ending by the name of the format.
FORMATS = {
    "tfrecord": (write_tfrecord, ".tfrecord"),
    "png": (write_png, ""),
    "npz": (write_npz, ".npz"),
    "tfds": (write_tfrecord, ""),
}
