"""One row of a convolution, from the rows that its kernel covers."""

import tensorflow as tf


def prepare_row_conv(kernel, bias):
    """Prepare the weights of `row_conv`; call this outside the loop.

    Args:
        kernel: `(height, width, channels, filters)`, with an odd width.
        bias: `(filters,)`, or None.

    Returns:
        The kernel as `(width, 1, height * channels, filters)`, and the bias.
    """
    height, width, channels, filters = kernel.shape
    kernel = tf.transpose(kernel, (1, 0, 2, 3))
    return tf.reshape(kernel, (width, 1, height * channels, filters)), bias


def row_conv(rows, weights):
    """Return one row of a convolution, with zeros to the left and right of the map.

    The rows become the channels of a map whose axes are the columns and the batch. With
    the usual order of axes, XLA convolves far more slowly on CPUs. A slice for each tap
    would take XLA half a minute to compile for a wide kernel.

    Args:
        rows: The rows that the kernel covers, concatenated on the last axis, of shape
            `(columns, batch, height * channels)`.
        weights: Result of `prepare_row_conv`.

    Returns:
        Shape `(columns, batch, filters)`.
    """
    kernel, bias = weights
    reach = kernel.shape[0] // 2
    padded = tf.pad(rows, [[reach, reach], [0, 0], [0, 0]])
    outputs = tf.nn.conv2d(padded[tf.newaxis], kernel, 1, "VALID")[0]
    return outputs if bias is None else outputs + bias
