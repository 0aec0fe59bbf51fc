"""The benchmark counts the kernels that a program launches."""

import tensorflow as tf

from tests.benchmarks.launches import tensorflow_launches


def test_kernels_of_a_loop_are_counted(device):
    def squash(x):
        _, x = tf.while_loop(
            lambda i, _: i < 10, lambda i, x: (i + 1, tf.tanh(x @ x)), (0, x)
        )
        return x

    x = tf.random.normal((64, 64))
    run = tf.function(squash, autograph=False)
    run(x)
    launches = tensorflow_launches(lambda: run(x).numpy(), device.lower())
    # A product and a tanh each time. On the CPU, the loop has operations too.
    assert 20 <= launches <= 200
