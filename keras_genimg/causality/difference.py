"""Difference between the parameters that two programs compute."""

import numpy as np
import tensorflow as tf


def difference_of_params(params, expected):
    """Return the largest difference from the parameters of a forward pass.

    Args:
        params: Parameters of a likelihood, the batch first.
        expected: Parameters of the same shape.

    Returns:
        The largest difference in each image relative to the largest expected parameter,
        float32 `(batch,)`; infinite if a parameter is not finite.
    """
    params = tf.reshape(params, (tf.shape(params)[0], -1))
    expected = tf.reshape(expected, (tf.shape(expected)[0], -1))
    largest = tf.reduce_max(tf.abs(expected), axis=-1)
    difference = tf.reduce_max(tf.abs(params - expected), axis=-1)
    finite = tf.reduce_all(
        tf.math.is_finite(params) & tf.math.is_finite(expected), axis=-1
    )
    part = tf.where(difference == 0, 0.0, difference / largest)
    return tf.where(finite, part, np.inf)
