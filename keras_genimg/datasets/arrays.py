"""Data sets from NumPy arrays, and as NumPy arrays."""

import zlib
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_genimg.datasets.batches import batch_options, make_batches
from keras_genimg.likelihoods import Likelihood
from keras_genimg.types import Config, Shape


def from_arrays(
    images: ArrayLike,
    labels: ArrayLike | None = None,
    batch_size: int = 32,
    crop_size: int | Shape | None = None,
    random_crop: bool = False,
    binarize: Literal["dynamic", "fixed"] | None = None,
    num_values: int | None = None,
    intensities: bool = False,
    seed: int = 0,
    shuffle: bool = False,
    drop_remainder: bool = False,
    likelihood: str | Config | Likelihood | None = None,
) -> tf.data.Dataset:
    """Return your own images as batches, as `load` returns those of a data set.

    The pixels of each epoch, and their order, are functions of `seed` and the epoch, so
    `keras_genimg.callbacks.Resume` can continue a run exactly. It refuses to continue
    with other images.

    Args:
        images: Displayable images, `uint8` in 0..255, of shape `(images, height, width,
            colors)`.
        labels: Integers of shape `(images,)`, for class-conditional models; None for
            images alone.
        batch_size: Images per batch. The last batch may be smaller.
        crop_size: `(height, width)`, or one integer for both, to crop images to. `None`
            does not crop.
        random_crop: Whether to crop at a random place, drawn for each image in each
            epoch. Otherwise the center is kept.
        binarize: `None`; `"dynamic"` to draw pixels that are 1 with probability `v /
            255` again in each epoch; or `"fixed"` to draw them once.
        num_values: Number of values of a pixel, 2 to 256. `None` is 256.
        intensities: Whether pixels are real numbers in [0, 1].
        seed: Integer seed of binarization, places and order.
        shuffle: Whether to shuffle in each epoch.
        drop_remainder: Whether to drop an incomplete last batch.
        likelihood: `None`, or a likelihood by name or object, such as
            `model.likelihood`, that the pixels are prepared for. `Bernoulli` gives
            `binarize="dynamic"`; pass `binarize="fixed"` with it for images to evaluate
            on.

    Returns:
        A `tf.data.Dataset` of known cardinality. Elements are batches of images, or
        `{"images": images, "label": labels}` if there are labels. Its attribute
        `epochs`, an `Epochs`, gives the batches of any epoch from any position on.

    Raises:
        ValueError: If the images are not `uint8` of this shape, there are none, or
            there is not one label for each; or if another argument is invalid or
            contradicts the likelihood.

    Example:
        >>> from keras_genimg.datasets import from_arrays
        >>> images = np.zeros((100, 8, 8, 1), "uint8")
        >>> train = from_arrays(images, likelihood="bernoulli", shuffle=True)
        >>> train.element_spec
        TensorSpec(shape=(None, 8, 8, 1), dtype=tf.uint8, name=None)
    """
    given = {k: v for k, v in locals().items() if k not in ("images", "labels")}
    options = batch_options(given)
    arrays = checked_arrays({"images": images, "label": labels}, "from_arrays")
    return make_batches(
        tf.data.Dataset.from_tensor_slices(arrays),
        **options,
        parts=("images",) if labels is None else None,
        description=describe(given, arrays),
    )


def checked_arrays(arrays, owner):
    """Return images and labels as arrays, or raise if they are not.

    Args:
        arrays: Dict of `"images"` and, optionally, `"label"`, which may be None.
        owner: What gave or received them, for the error text.

    Raises:
        ValueError: If an array has another shape or dtype, or there are no images.
    """
    given = {k: v for k, v in arrays.items() if v is not None or k == "images"}
    arrays = {k: np.ascontiguousarray(v) for k, v in given.items()}
    images = arrays["images"]
    if images.ndim != 4 or images.dtype != np.uint8 or images.size == 0:
        raise ValueError(
            f"Images of {owner} must be uint8 from 0 to 255, of shape (images, height, "
            f"width, colors), with at least one pixel. Received: shape={images.shape}, "
            f"dtype={images.dtype}"
        )
    labels = arrays.get("label", np.zeros(len(images), int))
    fits = labels.shape == images.shape[:1] and labels.dtype.kind in "iu"
    if not fits or (labels != labels.astype("int32")).any():
        raise ValueError(
            f"Labels of {owner} must be integers of 32 bits, one for each image, of "
            f"shape {images.shape[:1]}. Received: shape={labels.shape}, "
            f"dtype={labels.dtype}"
        )
    if "label" in arrays:
        arrays["label"] = labels.astype("int32")
    return arrays


def describe(arguments, arrays):
    """Return what tells a data set from another: arguments, and checksums of arrays."""
    texts = {name: str(value) for name, value in arguments.items()}
    checksums = {key: zlib.crc32(array) for key, array in arrays.items()}
    return {**texts, "checksums": checksums}


def as_array(dataset: tf.data.Dataset) -> Any:
    """Return all batches of a data set, concatenated along the first axis.

    Args:
        dataset: A finite `tf.data.Dataset` of batches, such as `load` returns.

    Returns:
        A NumPy array of shape `(images, height, width, colors)`, or a dict or tuple of
        arrays if the elements of `dataset` are dicts or tuples.

    Raises:
        ValueError: If `dataset` is empty or infinite.

    Example:
        >>> from keras_genimg.datasets import as_array, load
        >>> as_array(load("digits", split="test")).shape
        (300, 8, 8, 1)
    """
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(f"`dataset` must be finite. Received: {dataset}")
    batches = list(dataset.as_numpy_iterator())
    if not batches:
        raise ValueError(f"`dataset` has no elements. Received: {dataset}")
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)
