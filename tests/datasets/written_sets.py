"""Image data sets in the format of tensorflow_datasets, written for a test."""

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
        labels: Integer labels, if there are some.
        splits: Names of the splits.
        ids: Whether examples have a text `id`.
    """
    features = {"image": tfds.features.Image(shape=shape)}
    columns = {"image": images}
    if labels is not None:
        features["label"] = tfds.features.ClassLabel(num_classes=10)
        columns["label"] = labels
    if ids:
        features["id"] = tfds.features.Text()
        columns["id"] = map(str, range(len(images)))
    rows = zip(*columns.values(), strict=True)
    examples = [dict(zip(columns, row, strict=True)) for row in rows]
    base, _, config = name.partition("/")
    folder = data_dir / name / version
    folder.mkdir(parents=True)
    identity = tfds.core.DatasetIdentity(
        base, version, str(folder), "tests", config_name=config
    )
    info = tfds.core.DatasetInfo(
        builder=identity, features=tfds.features.FeaturesDict(features)
    )
    writer = tfds.core.SequentialWriter(info, -(-len(images) // num_shards))
    writer.initialize_splits([*splits])
    writer.add_examples(dict.fromkeys(splits, examples))
    writer.close_all()
