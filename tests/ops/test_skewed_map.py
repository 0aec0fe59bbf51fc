import numpy as np
import tensorflow as tf

from keras_genimg.ops import SkewedMap


def flat_map_of(x):
    """Return the pixels of a map in raster order, then -1 for padding."""
    flat = x.reshape(-1, *x.shape[2:])
    return tf.constant(np.concatenate([flat, np.full_like(flat[:1], -1)]))


def test_gradients_are_those_of_gathers():
    x = flat_map_of(np.random.default_rng(0).random((3, 2, 2)))
    skewed = SkewedMap(3, 2, 2)
    weights = [np.random.default_rng(1).random(s.shape) for s in skewed.skew(x)]

    def apply(x):
        segments = [s * w for s, w in zip(skewed.skew(x), weights, strict=True)]
        return skewed.unskew(segments)

    theoretical, numerical = tf.test.compute_gradient(apply, [x])
    # The padding is constant and gets no gradient.
    np.testing.assert_allclose(theoretical[0][:, :-2], numerical[0][:, :-2], atol=1e-6)


def test_unknown_sizes():
    @tf.function
    def run(x):
        height, width = tf.shape(x)[0], tf.shape(x)[1]
        flat_map = tf.pad(tf.reshape(x, (-1, 2)), [[0, 1], [0, 0]])
        skewed = SkewedMap(height, width, 4)
        return skewed.unskew(skewed.skew(flat_map))

    run = run.get_concrete_function(tf.TensorSpec((None, None, 2)))
    x = np.random.default_rng(0).random((3, 4, 2)).astype("float32")
    expected = x.copy()
    expected[1:] += x[:-1]
    np.testing.assert_allclose(run(tf.constant(x)), expected.reshape(-1, 2), rtol=1e-6)
