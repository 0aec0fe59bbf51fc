"""Formats of drawn images, and the files that make shards a data set.

Each writer takes a path and batches, which are dicts of arrays: `seed`, `images`, and
`label` for class-conditional models.
"""

import os
from typing import Any

import numpy as np

from ..quiet_start import import_tensorflow
from .shards import BulkError


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


def write_metadata(job):
    """Describe the shards of a `SampleJob`; return how to read them.

    Raises:
        BulkError: If tensorflow-datasets is missing.
    """
    import_tensorflow()
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise BulkError(
            f"{error}. All shards are written; install tensorflow-datasets, and the "
            f"same command describes them"
        ) from None
    folder, name = os.path.split(job.prefix)
    features = {
        "image": tfds.features.Image(
            shape=job.model.image_shape, encoding_format="png"
        ),
        "seed": tfds.features.Scalar(np.int64),
    }
    if job.labels is not None:
        highest = job.model.inputs["label"]["high"]
        names = job.model.class_names or None
        features["label"] = tfds.features.ClassLabel(
            num_classes=None if names else highest + 1, names=names
        )
    split = tfds.core.SplitInfo(
        name="train",
        shard_lengths=[job.size(index) for index in range(job.num_shards)],
        num_bytes=sum(os.path.getsize(job.path(i)) for i in range(job.num_shards)),
        filename_template=tfds.core.ShardedFileTemplate(
            data_dir=folder,
            dataset_name=name,
            split="train",
            filetype_suffix="tfrecord",
        ),
    )
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=tfds.features.FeaturesDict(features),
        split_infos=[split],
        description=f"Images of seeds {job.first_seed} to "
        f"{job.first_seed + job.num_images - 1}.",
    )
    return f"Read them with tfds.builder_from_directory({folder!r})."
