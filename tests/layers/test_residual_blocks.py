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

both_blocks = pytest.mark.parametrize(
    "block", [ResidualMaskedConvBlock, ResidualLSTMBlock]
)


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
    np.testing.assert_allclose(block(images), expected, rtol=1e-5, atol=1e-5)
    field = past_field(*size, num_colors)
    if layer == "row":
        field = row_lstm_field(*size, num_colors, "B", 3)
    assert_sees_exactly(block, images, field)


@both_blocks
@pytest.mark.parametrize("channels", [3, 5, 7])
def test_input_of_another_width_is_refused(block, channels):
    with pytest.raises(ValueError, match=rf"(?s)6.*Received.*{channels}"):
        block(3)(np.zeros((2, 4, 6, channels), "float32"))


@pytest.mark.parametrize(
    ("block", "arguments", "match"),
    [
        (ResidualLSTMBlock, {"layer": "spiral"}, "layer.*'spiral'"),
        (ResidualLSTMBlock, {"units": 0}, r"units.*Received.*0"),
        (ResidualLSTMBlock, {"num_colors": 5}, r"units.*Received.*4"),
        (ResidualMaskedConvBlock, {"filters": 0}, r"filters.*Received.*0"),
        (ResidualMaskedConvBlock, {"num_colors": 5}, r"filters.*Received.*4"),
        (ResidualMaskedConvBlock, {"kernel_size": 2}, r"kernel_size.*2"),
    ],
)
def test_bad_argument_is_refused(block, arguments, match):
    size = "units" if block is ResidualLSTMBlock else "filters"
    with pytest.raises(ValueError, match=f"(?s){match}"):
        block(**{size: 4, **arguments})
