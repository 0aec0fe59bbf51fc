import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.ops import SkewedMap

SIZES = [(4, 4), (3, 5), (5, 2), (1, 3), (3, 1), (7, 6)]


def flat_map_of(x):
    """Return the pixels of a map in raster order, then -1 for padding."""
    flat = x.reshape(-1, *x.shape[2:])
    return tf.constant(np.concatenate([flat, np.full_like(flat[:1], -1)]))


@pytest.mark.parametrize("num_segments", [1, 3, 50])
@pytest.mark.parametrize("height, width", SIZES)
def test_skew_and_unskew_by_hand(height, width, num_segments):
    x = np.random.default_rng(0).random((height, width, 2)).astype("float32")
    skewed = SkewedMap(height, width, num_segments)
    segments = skewed.skew(flat_map_of(x))
    seen = 0
    for segment, (first, end, first_row, end_row) in zip(
        map(np.asarray, segments), skewed.segments, strict=True
    ):
        assert segment.shape == (end - first, 2, end_row - first_row, 2)
        for t in range(first, end):
            for r in range(first_row, end_row):
                column = t - r
                inside = 0 <= column < width
                left = x[r, column] if inside else [-1, -1]
                right = x[r, width - 1 - column] if inside else [-1, -1]
                found = segment[t - first, :, r - first_row]
                np.testing.assert_array_equal(found, [left, right])
                seen += inside
    assert seen == height * width
    # The map, and ten times the mirrored one a row below.
    scale = tf.constant([1.0, 10.0])[None, :, None, None]
    actual = skewed.unskew([segment * scale for segment in segments])
    x[1:] += 10 * x[:-1]
    np.testing.assert_allclose(actual, x.reshape(-1, 2), rtol=1e-6)


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
