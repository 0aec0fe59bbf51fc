import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.layers import MaskedConv2D
from keras_genimg.ops.convolution import prepare_row_conv, row_conv

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("height, width", [(1, 1), (2, 3), (3, 11)])
def test_is_one_row_of_a_convolution(height, width):
    """The widest kernel reaches beyond both ends of the row."""
    batch, length, channels, filters = 2, 4, 3, 5
    maps = RANDOM.normal(size=(height, length, batch, channels))
    kernel = RANDOM.normal(size=(height, width, channels, filters))
    bias = RANDOM.normal(size=filters)
    expected = np.zeros((length, batch, filters)) + bias
    for row in range(height):
        for to in range(length):
            for tap in range(width):
                seen = to + tap - width // 2
                if 0 <= seen < length:
                    expected[to] += maps[row, seen] @ kernel[row, tap]
    rows = np.concatenate(list(maps), axis=-1)
    weights = prepare_row_conv(tf.constant(kernel), tf.constant(bias))
    np.testing.assert_allclose(row_conv(rows, weights), expected, rtol=1e-12)


def test_a_wider_kernel_takes_no_more_operations():
    counts = []
    for size in (3, 15):
        layer = MaskedConv2D(2, size, "A")
        layer.build((None, 6, 6, 1))

        @tf.function
        def begin(layer=layer):
            weights = layer.prepare(fused=False)
            cache = layer.initial_cache(weights, 2, 6, 1)
            return layer.begin_row(weights, cache)

        counts.append(len(begin.get_concrete_function().graph.get_operations()))
    assert counts[0] == counts[1]
