import numpy as np
import tensorflow as tf

from keras_genimg.ops.lstm_cell import product

RANDOM = np.random.default_rng(0)
INPUTS = tf.constant(RANDOM.normal(size=(5, 3)))
KERNEL = tf.constant(RANDOM.normal(size=(3, 4)))


def derivatives(transposed):
    """Return the output, its gradients, and second derivatives."""
    given = [INPUTS, KERNEL]
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(given)
        with tf.GradientTape() as inner:
            inner.watch(given)
            turned = tf.transpose(KERNEL) if transposed else None
            outputs = product(INPUTS, KERNEL, turned)
            loss = tf.reduce_sum(outputs**3)
        first = inner.gradient(loss, given)
        total = tf.reduce_sum(first[0] ** 2) + tf.reduce_sum(first[1] ** 2)
    return [outputs, *first, *outer.gradient(total, given)]


def test_a_transposed_kernel_changes_no_derivative():
    for got, expected in zip(derivatives(True), derivatives(False), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
