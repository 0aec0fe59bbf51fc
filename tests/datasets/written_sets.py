"""Image data sets in the format of tensorflow_datasets, written for a test."""

import tensorflow as tf
import tensorflow_datasets as tfds


def write_set(
    data_dir,
    name,
    images,
    shape,
    num_shards=1,
    version="1.0.0",
    labels=None,
    splits=("train",),
    ids=False,
):
    """Write images as a prepared data set, the same ones to each split.

    Args:
        data_dir: `pathlib.Path` that TFDS_DATA_DIR is to name.
        name: Name of the data set, with that of its config if it has one.
        images: Images as NumPy arrays.
        shape: Shape of the feature; None where any size will do.
        num_shards: Number of files of a split.
        version: Version of the data set.
        labels: Integer labels, or None to write none.
        splits: Names of the splits.
        ids: Whether examples have a text `id`.
    """
    folder = data_dir / name / version
    folder.mkdir(parents=True)
    base = name.partition("/")[0]
    features = {"image": tfds.features.Image(shape=shape)}
    examples = [{"image": image} for image in images]
    if labels is not None:
        features["label"] = tfds.features.ClassLabel(num_classes=10)
        for example, label in zip(examples, labels, strict=True):
            example["label"] = label
    if ids:
        features["id"] = tfds.features.Text()
        for index, example in enumerate(examples):
            example["id"] = str(index)
    features = tfds.features.FeaturesDict(features)
    shards = [examples[k::num_shards] for k in range(num_shards)]
    for split in splits:
        for k, shard in enumerate(shards):
            file = folder / f"{base}-{split}.tfrecord-{k:05d}-of-{num_shards:05d}"
            with tf.io.TFRecordWriter(str(file)) as writer:
                for example in shard:
                    encoded = features.encode_example(example)
                    writer.write(features.serialize_example(encoded))
    infos = [
        tfds.core.SplitInfo(
            name=split, shard_lengths=[len(shard) for shard in shards], num_bytes=0
        )
        for split in splits
    ]
    tfds.folder_dataset.write_metadata(
        data_dir=str(folder),
        features=features,
        split_infos=infos,
        filename_template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        check_data=False,
    )
