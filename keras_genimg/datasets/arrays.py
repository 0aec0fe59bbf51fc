"""Data sets as NumPy arrays."""

from typing import Any

import numpy as np
import tensorflow as tf


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
