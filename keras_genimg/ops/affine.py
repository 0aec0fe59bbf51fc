"""Affine maps of vectors, for loops in which each operation counts."""

import tensorflow as tf
from keras import ops

from keras_genimg.ops.custom_gradient import custom_gradient


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


def product(inputs, kernel, transposed=None):
    """Return `inputs @ kernel`.

    The gradient of the inputs needs the transposed kernel, which a loop would rearrange
    at each step: on CPUs that takes twice the time of the product itself.

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
    """Return `inputs @ kernel` for all columns of a row.

    Args:
        inputs: `(width, batch, inputs)`.
        kernel: `(inputs, outputs)`.
    """
    outputs = tf.matmul(tf.reshape(inputs, (-1, kernel.shape[0])), kernel)
    return tf.reshape(outputs, (*ops.shape(inputs)[:2], kernel.shape[1]))
