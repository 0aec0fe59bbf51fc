"""Affine maps of vectors, for loops in which each operation counts."""

import tensorflow as tf
from keras import ops


def prepare_affine(kernel, bias):
    """Return weights as `affine` needs them, to be called outside the loop.

    Args:
        kernel: `(inputs, outputs)`.
        bias: `(outputs,)`, or None.
    """
    return kernel, None if bias is None else -bias


def affine(inputs, weights):
    """Return `inputs @ kernel + bias`.

    The bias is subtracted with its sign changed: TensorFlow 2.21's graph optimizer
    fuses a product with an added bias and a residual sum, and leaves a broken graph
    behind where two such sums follow one another. A subtraction it leaves alone.

    Args:
        inputs: `(batch, inputs)`.
        weights: As `prepare_affine` returns them.
    """
    kernel, negative_bias = weights
    outputs = tf.matmul(inputs, kernel)
    return outputs if negative_bias is None else outputs - negative_bias


def row_product(inputs, kernel):
    """Return `inputs @ kernel` for all columns of a row.

    Args:
        inputs: `(width, batch, inputs)`.
        kernel: `(inputs, outputs)`.
    """
    outputs = tf.matmul(tf.reshape(inputs, (-1, kernel.shape[0])), kernel)
    return tf.reshape(outputs, (*ops.shape(inputs)[:2], kernel.shape[1]))
