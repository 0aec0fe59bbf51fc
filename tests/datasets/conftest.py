"""Data sets of tfds: the real MNIST, and such as are written for a test."""

import os
import pathlib
import socket

import pytest
import tensorflow as tf


@pytest.fixture
def mnist(monkeypatch):
    """Skip without prepared MNIST, and forbid connections."""
    folder = os.environ.get("TFDS_DATA_DIR")
    if not folder or not (pathlib.Path(folder) / "mnist").is_dir():
        pytest.skip("needs MNIST, prepared in the folder that TFDS_DATA_DIR names")

    def refuse(*_):
        raise AssertionError("a prepared data set must load without a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def write_set(monkeypatch, tmp_path):
    """Return a function that writes images as a prepared data set of tfds."""
    import tensorflow_datasets as tfds

    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))

    def write(name, images, shape, num_shards=1, version="1.0.0", labels=None):
        folder = tmp_path / name / version
        folder.mkdir(parents=True)
        features = {"image": tfds.features.Image(shape=shape)}
        examples = [{"image": image} for image in images]
        if labels is not None:
            features["label"] = tfds.features.ClassLabel(num_classes=10)
            for example, label in zip(examples, labels, strict=True):
                example["label"] = label
        features = tfds.features.FeaturesDict(features)
        shards = [examples[k::num_shards] for k in range(num_shards)]
        for k, shard in enumerate(shards):
            file = folder / f"{name}-train.tfrecord-{k:05d}-of-{num_shards:05d}"
            with tf.io.TFRecordWriter(str(file)) as writer:
                for example in shard:
                    encoded = features.encode_example(example)
                    writer.write(features.serialize_example(encoded))
        split = tfds.core.SplitInfo(
            name="train", shard_lengths=[len(shard) for shard in shards], num_bytes=0
        )
        tfds.folder_dataset.write_metadata(
            data_dir=str(folder),
            features=features,
            split_infos=[split],
            filename_template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            check_data=False,
        )

    return write
