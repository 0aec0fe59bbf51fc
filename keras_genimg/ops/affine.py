"""Affine maps of vectors, for loops in which every operation costs time."""

import tensorflow as tf
from keras import ops

from keras_genimg.ops.custom_gradient import custom_gradient


def prepare_affine(kernel, bias):
    """Prepare the weights of `affine`; call this outside the loop.

    Args:
        kernel: `(inputs, outputs)`.
        bias: `(outputs,)`, or None.

    Returns:
        The kernel, and the bias with its sign changed or None.
    """
    return kernel, None if bias is None else -bias


def affine(inputs, weights):
    """Return `inputs @ kernel + bias`.

    The negated bias is subtracted to work around a bug in TensorFlow 2.21. Its graph
    optimizer fuses a product, an added bias and a residual sum, and breaks the graph if
    two such sums follow each other. It leaves subtractions alone.

    Args:
        inputs: `(batch, inputs)`.
        weights: Result of `prepare_affine`.
    """
    kernel, negative_bias = weights
    outputs = tf.matmul(inputs, kernel)
    return outputs if negative_bias is None else outputs - negative_bias


def product(inputs, kernel, transposed=None):
    """Return `inputs @ kernel`.

    The gradient of the inputs needs the transposed kernel. A loop would transpose it at
    each step, which on CPUs takes twice the time of the product itself.

    Args:
        inputs: `(batch, inputs)`.
        kernel: `(inputs, outputs)`.
        transposed: `tf.transpose(kernel)`, made outside the loop, or None.
    """
    if transposed is None:
        return tf.matmul(inputs, kernel)

    @custom_gradient
    def multiply(inputs, kernel, transposed):
        def gradient(d_outputs):
            d_kernel = tf.matmul(inputs, d_outputs, transpose_a=True)
            return tf.matmul(d_outputs, transposed), d_kernel, None

        return [tf.matmul(inputs, kernel)], gradient

    return multiply(inputs, kernel, transposed)[0]


def row_product(inputs, kernel):
    """Return `inputs @ kernel` for each column of a row.

    Args:
        inputs: `(width, batch, inputs)`.
        kernel: `(inputs, outputs)`.
    """
    outputs = tf.matmul(tf.reshape(inputs, (-1, kernel.shape[0])), kernel)
    return tf.reshape(outputs, (*ops.shape(inputs)[:2], kernel.shape[1]))
