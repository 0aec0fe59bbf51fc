"""Image data sets from TensorFlow Datasets."""

import difflib
import os

import numpy as np
import tensorflow as tf

_KNOWN_IMAGE_SETS = (
    "mnist",
    "binarized_mnist",
    "fashion_mnist",
    "kmnist",
    "omniglot",
    "cifar10",
    "svhn_cropped",
    "downsampled_imagenet/32x32",
    "downsampled_imagenet/64x64",
)
# Stored as 0 and 1. All others are displayable.
_ZERO_ONE_SETS = ("binarized_mnist",)


def read_tfds(name, split, labels, any_size):
    """Return one split of a data set of TensorFlow Datasets.

    Prepared data is read without a network from the folder given by the environment
    variable `TFDS_DATA_DIR`, by default `~/tensorflow_datasets`. Other data is first
    downloaded to that folder. Examples keep their order in the split.

    Args:
        name: Name for `tfds.builder`, for example `"cifar10"`.
        split: Name of a split, or a slice or sum of them, such as `"train[:80%]"`.
        labels: Whether to read labels too.
        any_size: Whether images may differ in size.

    Returns:
        A `tf.data.Dataset` of `{"images": (height, width, colors) uint8}`, with
        `"label": () int32` if `labels`, unbatched.

    Raises:
        ValueError: If the name or split is unknown, the split is empty, or the data set
            has no 8-bit images or, with `labels=True`, no labels.

    Example:
        >>> read_tfds("mnist", "test", labels=False, any_size=False).element_spec
        {'images': TensorSpec(shape=(28, 28, 1), dtype=tf.uint8, name=None)}
    """
    import tensorflow_datasets as tfds

    if os.sep in name and os.path.exists(name):
        raise ValueError(
            f"A local path is given as one: pass pathlib.Path({name!r}). Received: "
            f"name={name!r}"
        )
    try:
        # tfds itself reads the variable only once, when it is imported.
        builder = tfds.builder(name, data_dir=os.environ.get("TFDS_DATA_DIR"))
    except tfds.core.DatasetNotFoundError:
        known = tfds.list_builders(with_community_datasets=False)
        known = ["digits", "photo_patches", *known]
        raise ValueError(_unknown_name(name, known)) from None
    _check_features(name, builder.info.features, labels, any_size)

    if not builder.is_prepared():
        builder.download_and_prepare()
    splits = builder.info.splits
    try:
        num_examples = splits[split].num_examples
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"`split` of {name!r} must be one of {[*splits, 'all']}, or a slice or sum "
            f'of them, such as "train[:80%]". Received: split={split!r}'
        ) from error
    if num_examples == 0:
        raise ValueError(
            f"`split` of {name!r} has no examples. Received: split={split!r}"
        )

    # One file after the other, to keep the order of the split.
    config = tfds.ReadConfig(interleave_cycle_length=1)
    dataset = builder.as_dataset(split=split, read_config=config, shuffle_files=False)

    def pick(example):
        images = example["image"]
        if builder.name in _ZERO_ONE_SETS:
            images *= 255
        picked = {"images": images}
        if labels:
            picked["label"] = tf.cast(example["label"], tf.int32)
        return picked

    return dataset.map(pick, num_parallel_calls=tf.data.AUTOTUNE)


def _unknown_name(name, known):
    near = difflib.get_close_matches(name, known)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    listed = ", ".join(map(repr, _KNOWN_IMAGE_SETS))
    return (
        f"Unknown data set: name={name!r}.{hint} Known are 'digits', 'photo_patches' "
        f"and the image data sets of tensorflow_datasets, such as {listed}."
    )


def _check_features(name, features, labels, any_size):
    features = dict(features.items())
    image = features.get("image")
    if image is None or len(image.shape) != 3 or image.np_dtype != np.uint8:
        raise ValueError(
            f"Data set {name!r} must have a feature 'image' of shape (height, width, "
            f"colors) and type uint8. Received: {features}"
        )
    if None in image.shape and not any_size:
        raise ValueError(
            f"Images of {name!r} differ in size: their shape is {image.shape}. Pass "
            "`image_size`."
        )
    label = features.get("label")
    fits = (
        label is not None
        and label.shape == ()
        and np.issubdtype(label.np_dtype, np.integer)
    )
    if labels and not fits:
        raise ValueError(
            f"`labels=True` needs an integer feature 'label', which {name!r} does not "
            f"have. Received features: {list(features)}"
        )
