import numpy as np
import pytest
from keras import ops

from keras_genimg.layers import ResidualLSTMBlock, ResidualMaskedConvBlock
from tests import reference
from tests.causality import (
    assert_sees_exactly,
    convolution_field,
    past_field,
    random_images,
    randomized,
    row_lstm_field,
)
from tests.layers.correct import assert_equals_and_sees


def relu(x):
    return np.maximum(x, 0.0)


def convolution(x, layer):
    return reference.masked_conv2d(x, *layer.get_weights(), "B", layer.num_colors)


@pytest.mark.parametrize(
    ("size", "filters", "kernel_size", "num_colors"),
    [((4, 6), 3, 3, 1), ((5, 3), 4, 5, 1), ((4, 6), 5, 3, 3), ((3, 5), 8, 3, 3)],
)
def test_masked_conv_block_equals_reference(size, filters, kernel_size, num_colors):
    """And sees the past within the kernel."""
    shape = (*size, 2 * filters)
    block = randomized(ResidualMaskedConvBlock(filters, kernel_size, num_colors), shape)
    images = random_images(3, *shape)
    hidden = relu(convolution(relu(images), block.reduce))
    hidden = relu(convolution(hidden, block.convolution))
    expected = images + convolution(hidden, block.expand)
    np.testing.assert_allclose(block(images), expected, rtol=1e-5, atol=1e-5)
    # No value is negative, so no ReLU hides an influence.
    for weight in block.weights:
        weight.assign(ops.abs(weight))
    field = convolution_field(*size, num_colors, "B", (kernel_size, kernel_size))
    assert_sees_exactly(block, np.abs(images), field)


@pytest.mark.parametrize("layer", ["row", "diagonal"])
@pytest.mark.parametrize(
    ("size", "units", "num_colors"), [((4, 6), 3, 1), ((4, 5), 5, 3), ((3, 4), 8, 3)]
)
def test_lstm_block_equals_reference(size, units, num_colors, layer):
    """And sees the field of its layer."""
    shape = (*size, 2 * units)
    block = randomized(ResidualLSTMBlock(units, layer, num_colors=num_colors), shape)
    images = random_images(3, *shape)
    hidden = reference.pixel_lstm(images, block.lstm)
    expected = images + convolution(hidden, block.expand)
    field = past_field(*size, num_colors)
    if layer == "row":
        field = row_lstm_field(*size, num_colors, "B", 3)
    assert_equals_and_sees(block, [images], expected, field)
