"""Skewing of maps, which lines their anti-diagonals up as columns."""

import tensorflow as tf
from keras import ops


def skew(inputs):
    """Shift row `r` of a map by `r` columns.

    `outputs[t, r] = inputs[r, t - r]`, and 0 where that lies outside the map. Step `t`
    of the result holds the cells of one anti-diagonal, the time axis first, as a scan
    wants it.

    Args:
        inputs: Tensor of shape `(height, width, ...)`.

    Returns:
        Tensor of shape `(height + width - 1, height, ...)`.

    References:
        van den Oord et al., Pixel Recurrent Neural Networks, 2016, section 3.2,
        figure 3.
    """
    height, width = ops.shape(inputs)[:2]
    rest = ops.shape(inputs)[2:]
    # A row of zeros stands for everything outside the map.
    flat = tf.reshape(inputs, (height * width, *rest))
    flat = tf.concat([flat, tf.zeros((1, *rest), inputs.dtype)], axis=0)
    step = tf.range(height + width - 1)[:, None]
    row = tf.range(height)[None, :]
    column = step - row
    inside = (column >= 0) & (column < width)
    index = tf.where(inside, row * width + column, height * width)
    return tf.gather(flat, index)


def unskew(inputs, width):
    """Undo `skew`.

    `outputs[r, j] = inputs[r + j, r]`.

    Args:
        inputs: Tensor of shape `(height + width - 1, height, ...)`.
        width: Width of the map, an integer or a scalar tensor.

    Returns:
        Tensor of shape `(height, width, ...)`.
    """
    steps, height = ops.shape(inputs)[:2]
    flat = tf.reshape(inputs, (steps * height, *ops.shape(inputs)[2:]))
    row = tf.range(height)[:, None]
    column = tf.range(width)[None, :]
    return tf.gather(flat, (row + column) * height + row)
