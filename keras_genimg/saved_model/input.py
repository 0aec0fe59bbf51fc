"""What clients send: the inputs of endpoints, and which values they may have."""

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from keras_genimg.ops.uniforms import MAX_SEED


@dataclasses.dataclass(frozen=True)
class Input:
    """An input of an endpoint.

    Attributes:
        spec: Its `tf.TensorSpec`, the batch first.
        in_range: Function of the tensor that says which of its values may be.
        requirement: What a value must be, in words.
        safe: Value that stands in for those of a bad row.
    """

    spec: tf.TensorSpec
    in_range: Callable
    requirement: str
    safe: int | float = 0


def between(low, high):
    """Return a function that says which values are from `low` to `high`."""
    return lambda tensor: (tensor >= low) & (tensor <= high)


def seed_input():
    """Return the input `seed`, one integer a row."""
    return Input(
        tf.TensorSpec((None,), tf.int64),
        between(0, MAX_SEED),
        "integers from 0 to 2**62 - 1",
    )


def images_input(image_shape):
    """Return the input `images`, displayable ones.

    They are int32, since a server wraps 256 round to 0 in a uint8 without a word.
    """
    return Input(
        tf.TensorSpec((None, *image_shape), tf.int32),
        between(0, 255),
        "integers from 0 to 255",
    )


def known_input(image_shape):
    """Return the input `known`, which pixels are known."""
    return Input(
        tf.TensorSpec((None, *image_shape[:2]), tf.int32), between(0, 1), "0 or 1"
    )


def temperature_input():
    """Return the input `temperature`, one number a row."""
    return Input(
        tf.TensorSpec((None,), tf.float32),
        lambda tensor: tf.math.is_finite(tensor) & (tensor > 0),
        "finite numbers above 0",
        safe=1.0,
    )


def label_input(num_classes):
    """Return the input `label`, one class a row."""
    return Input(
        tf.TensorSpec((None,), tf.int32),
        between(0, num_classes - 1),
        f"integers from 0 to {num_classes - 1}",
    )


def real_input(shape, dtype=tf.float32):
    """Return an input of finite numbers.

    Args:
        shape: Shape of the tensor, the batch first.
        dtype: A float or integer type.
    """
    if not tf.as_dtype(dtype).is_floating:
        every = functools.partial(tf.ones_like, dtype=tf.bool)
        return Input(tf.TensorSpec(shape, dtype), every, "whole numbers")
    return Input(tf.TensorSpec(shape, dtype), tf.math.is_finite, "finite numbers")
