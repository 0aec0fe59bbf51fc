import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.layers import MaskedConv2D, ResidualMaskedConvBlock
from tests import reference
from tests.causality import (
    assert_sees_exactly,
    convolution_field,
    random_images,
    randomized,
)
from tests.layers.correct import assert_equals_and_sees


@pytest.mark.parametrize(
    ("shape", "kernel_size", "filters", "num_colors", "mask_type"),
    [
        (*case, mask_type)
        for mask_type in "AB"
        for case in [
            ((6, 6, 1), 3, 2, 1),
            ((4, 6, 1), 7, 1, 1),
            ((5, 3, 2), (3, 5), 4, 1),
            ((4, 6, 3), 3, 3, 3),
            ((5, 3, 3), 5, 5, 3),
            ((4, 6, 8), 3, 8, 3),
            ((5, 3, 5), (5, 3), 10, 3),
            # A single pixel, all of which mask A hides.
            *[((4, 6, 1), 1, 1, 1), ((4, 6, 5), 1, 8, 3)] * (mask_type == "B"),
        ]
    ],
)
def test_equals_reference_and_sees_the_past_within_the_kernel(
    shape, kernel_size, filters, num_colors, mask_type
):
    layer = randomized(MaskedConv2D(filters, kernel_size, mask_type, num_colors), shape)
    images, weights = random_images(3, *shape), layer.get_weights()
    expected = reference.masked_conv2d(images, *weights, mask_type, num_colors)
    field = convolution_field(*shape[:2], num_colors, mask_type, layer.kernel_size)
    assert_equals_and_sees(layer, [images], expected, field)


@pytest.mark.parametrize(
    ("size", "filters", "kernel_size", "num_colors"),
    [((4, 6), 3, 3, 1), ((5, 3), 4, 5, 1), ((4, 6), 5, 3, 3), ((3, 5), 8, 3, 3)],
)
def test_residual_block(size, filters, kernel_size, num_colors):
    """Equals the reference, and sees the past within the kernel."""
    shape = (*size, 2 * filters)
    block = randomized(ResidualMaskedConvBlock(filters, kernel_size, num_colors), shape)
    images = random_images(3, *shape)
    hidden = images
    for layer in (block.reduce, block.convolution, block.expand):
        hidden, weights = np.maximum(hidden, 0.0), layer.get_weights()
        hidden = reference.masked_conv2d(hidden, *weights, "B", num_colors)
    np.testing.assert_allclose(block(images), images + hidden, rtol=1e-5, atol=1e-5)
    # No value is negative, so no ReLU hides an influence.
    for weight in block.weights:
        weight.assign(tf.abs(weight))
    field = convolution_field(*size, num_colors, "B", (kernel_size, kernel_size))
    assert_sees_exactly(block, np.abs(images), field)


def test_activation_without_bias():
    layer = MaskedConv2D(5, 3, "A", activation="relu", use_bias=False)
    (kernel,) = randomized(layer, (4, 6, 3)).get_weights()
    images = random_images(2, 4, 6, 3)
    linear = reference.masked_conv2d(images, kernel, 0.0, "A", 1)
    expected = np.maximum(linear, 0.0)
    np.testing.assert_allclose(layer(images), expected, rtol=1e-5, atol=1e-5)


def test_a_wider_kernel_takes_no_more_operations_to_begin_a_row():
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
