"""Affine maps of vectors."""

import tensorflow as tf


def affine(inputs, kernel, bias=None):
    """Return `inputs @ kernel + bias`.

    A batched product, though there is no batch of matrices: TensorFlow 2.21's graph
    optimizer fuses a plain product with a bias and a residual sum, and leaves a broken
    graph behind where two such sums follow one another.

    Args:
        inputs: `(batch, inputs)`.
        kernel: `(inputs, outputs)`.
        bias: `(outputs,)`, or None.
    """
    outputs = tf.raw_ops.BatchMatMulV2(x=inputs, y=kernel)
    return outputs if bias is None else tf.nn.bias_add(outputs, bias)
