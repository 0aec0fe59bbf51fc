"""Convolutions and products in the form in which they are fast, on CPUs too."""

import tensorflow as tf
from keras import ops


def padded_conv2d(
    inputs: tf.Tensor, kernel: tf.Tensor, above: int, beside: int
) -> tf.Tensor:
    """Convolve a map with rows of zeros above it and columns of zeros at its sides.

    The zeros are added by a separate operation. With explicit padding of
    `tf.nn.conv2d`, TensorFlow computes the gradients on CPUs without oneDNN, which
    takes two to three times as long.

    Args:
        inputs: Shape `(batch, height, width, channels)`.
        kernel: Shape `(kernel_height, kernel_width, channels, filters)`.
        above: Number of rows of zeros.
        beside: Number of columns of zeros at the left, and at the right.

    Returns:
        Shape `(batch, height + above - kernel_height + 1,
        width + 2 * beside - kernel_width + 1, filters)`.
    """
    padding = [[0, 0], [above, 0], [beside, beside], [0, 0]]
    return tf.nn.conv2d(tf.pad(inputs, padding), kernel, 1, "VALID")


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
    outputs = tf.nn.conv2d(rows[tf.newaxis], kernel, 1, "SAME")
    return (outputs if bias is None else tf.nn.bias_add(outputs, bias))[0]


def pointwise_product(inputs, kernel):
    """Return `inputs @ kernel` as a single product of two matrices.

    XLA compiles its gradient well on CPUs, unlike that of a 1×1 convolution.

    Args:
        inputs: `(..., inputs)`.
        kernel: `(inputs, outputs)`.
    """
    outputs = tf.matmul(tf.reshape(inputs, (-1, kernel.shape[0])), kernel)
    return tf.reshape(outputs, (*ops.shape(inputs)[:-1], kernel.shape[1]))


def prepare_affine(kernel, bias):
    """Prepare the weights of `affine`; call this outside the loop.

    Args:
        kernel: `(inputs, outputs)`.
        bias: `(outputs,)`, or None.

    Returns:
        The kernel, and the bias with its sign changed or None.
    """
    return kernel, None if bias is None else -bias


def for_batch(weights, batch):
    """Return weights of `affine` with a bias for each example.

    A sum of equal shapes takes half as long as one that broadcasts.

    Args:
        weights: Result of `prepare_affine`.
        batch: Number of examples.
    """
    kernel, negative_bias = weights
    if negative_bias is None:
        return weights
    return kernel, tf.broadcast_to(negative_bias, (batch, negative_bias.shape[-1]))


def affine(inputs, weights):
    """Return `inputs @ kernel + bias`.

    The negated bias is subtracted, which TensorFlow's graph optimizer leaves alone. It
    would fuse a product and an added bias to one operation, which takes longer than
    both. Version 2.21 also breaks the graph if residual sums of such products follow
    each other, and then drops all of its fusions.

    Args:
        inputs: `(batch, inputs)`.
        weights: Result of `prepare_affine` or of `for_batch`.
    """
    kernel, negative_bias = weights
    outputs = tf.matmul(inputs, kernel)
    return outputs if negative_bias is None else outputs - negative_bias
