"""Temperatures of samplers."""

import tensorflow as tf

from keras_genimg.types import TensorLike


def temperatures(temperature: float | TensorLike) -> tf.Tensor:
    """Return temperatures that broadcast against images, none below 1e-30.

    Logits divided by less overflow, and their softmax is not a number. At 1e-30, the
    likeliest value is drawn all the same.

    Args:
        temperature: Numbers above 0, a scalar or `(batch,)`.

    Returns:
        Float32 of shape `(1 or batch, 1, 1, 1)`.
    """
    return tf.reshape(tf.maximum(temperature, 1e-30), (-1, 1, 1, 1))
