"""Image data sets from TensorFlow Datasets."""

import difflib
import os
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import tensorflow as tf

from keras_genimg.datasets.readers import READERS

# These sets store 0 and 1. All others store displayable values.
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
        FileNotFoundError: If the data set is not there and cannot be downloaded.
        ValueError: If the name or split is unknown, the split is empty, or the data set
            has no 8-bit images or, with `labels=True`, no labels.
    """
    import tensorflow_datasets as tfds

    try:
        # tfds itself reads the variable only once, when it is imported.
        builder = tfds.builder(name, data_dir=os.environ.get("TFDS_DATA_DIR"))
    except ValueError as error:
        if os.path.exists(name):
            raise ValueError(
                f"Strings name data sets. For a folder, pass pathlib.Path({name!r}). "
                f"Received: name={name!r}"
            ) from error
        if not isinstance(error, tfds.core.DatasetNotFoundError):
            raise
        known = [*READERS, *tfds.list_builders(with_community_datasets=False)]
        near = difflib.get_close_matches(name, known)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(
            f"Unknown data set: name={name!r}.{hint} Known are "
            f"{', '.join(map(repr, READERS))} and the image data sets of "
            f"tensorflow_datasets, such as 'mnist', 'cifar10' and 'svhn_cropped'."
        ) from None
    features = dict(builder.info.features.items())
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
    label: Any = features.get("label")
    is_scalar = getattr(label, "shape", None) == ()
    if labels and not (is_scalar and np.issubdtype(label.np_dtype, np.integer)):
        raise ValueError(
            f"`labels=True` needs an integer feature 'label', which {name!r} does not "
            f"have. Received features: {list(features)}"
        )

    if not builder.is_prepared():
        _check_network(builder)
        builder.download_and_prepare()
    parts_of_split(split, builder.info.splits, name)

    # Files are read one after the other, to keep the order of the split.
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


def parts_of_split(split, infos, owner):
    """Return the name of each part of a split, and its slice.

    Args:
        split: A key of `infos`, `"all"`, or a slice or sum of these in the syntax of
            tensorflow_datasets, such as `"train[:-150]"`.
        infos: Dict by split of objects with the attribute `num_examples`.
        owner: Name of the data set, for the error text.

    Raises:
        ValueError: If the split is unknown or empty.
    """
    if str(split) in infos and infos[str(split)].num_examples > 0:
        return [(str(split), slice(None))]
    import tensorflow_datasets as tfds  # Slow; slices and sums need it.

    try:
        parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(infos)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"`split` of {owner!r} must be one of {[*infos, 'all']}, or a slice or sum "
            f'of them, such as "train[:80%]". Received: split={split!r}'
        ) from error
    parts = [(part.splitname, slice(part.from_, part.to)) for part in parts]
    if not any(range(infos[name].num_examples)[part] for name, part in parts):
        raise ValueError(
            f"`split` of {owner!r} has no examples. Received: split={split!r}"
        )
    return parts


def _check_network(builder):
    """Raise an error if a data set cannot be downloaded; tfds would try for minutes."""
    for url in [*(builder.url_infos or ())][:1]:
        try:
            head = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(head, timeout=10):
                pass
        except urllib.error.HTTPError as answer:
            answer.close()
        except OSError as error:
            raise FileNotFoundError(
                f"Data set {builder.name!r} is not prepared in "
                f"{builder.data_dir_root}, and cannot be downloaded: {error}. Set "
                f"the environment variable TFDS_DATA_DIR to a folder that holds it; or "
                f"give a folder of images, as pathlib.Path('./images') or --data "
                f"./images; or take 'digits' or 'photo_patches', which need no network."
            ) from None
