import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.ops import skew, unskew


@pytest.mark.parametrize("height, width", [(4, 4), (3, 5), (5, 2), (1, 3), (3, 1)])
def test_skew_by_hand(height, width):
    x = np.random.default_rng(0).normal(size=(height, width, 2, 3)).astype("float32")
    skewed = np.zeros((height + width - 1, height, 2, 3), "float32")
    for r in range(height):
        for c in range(width):
            skewed[r + c, r] = x[r, c]
    np.testing.assert_array_equal(skew(tf.constant(x)), skewed)
    np.testing.assert_array_equal(unskew(skew(tf.constant(x)), width), x)


def test_unknown_sizes():
    run = tf.function(lambda x: unskew(skew(x), tf.shape(x)[1]))
    run = run.get_concrete_function(tf.TensorSpec((None, None, None, 2)))
    x = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype("float32")
    np.testing.assert_array_equal(run(tf.constant(x)), x)
