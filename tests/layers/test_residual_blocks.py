import numpy as np
import pytest
from keras import ops

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import ResidualLSTMBlock, ResidualMaskedConvBlock
from tests import reference
from tests.causality import (
    assert_sees_exactly,
    convolution_field,
    past_field,
    random_images,
    row_lstm_field,
)


def random_block(block, shape):
    block.build((None, *shape))
    randomize(block)
    return block


def outputs(block, images):
    return np.asarray(block(images))


def relu(x):
    return np.maximum(x, 0.0)


def convolution(x, layer, num_colors):
    return reference.masked_conv2d(
        x,
        np.asarray(layer.kernel),
        np.asarray(layer.bias),
        "B",
        num_colors,
    )


def lstm(x, layer, name, num_colors):
    function = {"row": reference.row_lstm, "diagonal": reference.diagonal_bilstm}[name]
    return function(
        x,
        np.asarray(layer.input_kernel),
        np.asarray(layer.recurrent_kernel),
        np.asarray(layer.bias),
        np.asarray(layer.initial_hidden),
        np.asarray(layer.initial_cell),
        "B",
        num_colors,
    )


@pytest.mark.parametrize(
    ("size", "filters", "kernel_size", "num_colors"),
    [((4, 6), 3, 3, 1), ((5, 3), 4, 5, 1), ((4, 6), 5, 3, 3), ((5, 3), 8, 3, 3)],
)
def test_masked_conv_block_equals_reference(size, filters, kernel_size, num_colors):
    shape = (*size, 2 * filters)
    block = random_block(
        ResidualMaskedConvBlock(
            filters, kernel_size=kernel_size, num_colors=num_colors
        ),
        shape,
    )
    images = random_images(2, *shape)
    hidden = convolution(relu(images), block.reduce, num_colors)
    hidden = convolution(relu(hidden), block.convolution, num_colors)
    expected = images + convolution(relu(hidden), block.expand, num_colors)
    np.testing.assert_allclose(outputs(block, images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", ["row", "diagonal"])
@pytest.mark.parametrize(
    ("size", "units", "num_colors"),
    [((4, 6), 3, 1), ((5, 3), 5, 3), ((4, 6), 8, 3), ((3, 4), 10, 3)],
)
def test_lstm_block_equals_reference(size, units, num_colors, layer):
    shape = (*size, 2 * units)
    block = random_block(
        ResidualLSTMBlock(units, layer=layer, num_colors=num_colors), shape
    )
    images = random_images(2, *shape)
    hidden = lstm(images, block.lstm, layer, num_colors)
    expected = images + convolution(hidden, block.expand, num_colors)
    np.testing.assert_allclose(outputs(block, images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "filters", "num_colors"),
    [((4, 6), 3, 1), ((5, 3), 5, 3), ((3, 5), 8, 3)],
)
def test_masked_conv_block_sees_the_past_within_the_kernel(size, filters, num_colors):
    shape = (*size, 2 * filters)
    block = random_block(ResidualMaskedConvBlock(filters, num_colors=num_colors), shape)
    # No value is negative, so no ReLU hides an influence.
    for weight in block.weights:
        weight.assign(ops.abs(weight))
    images = np.abs(random_images(3, *shape))
    field = convolution_field(*size, num_colors, "B", (3, 3))
    assert_sees_exactly(block, images, field)


@pytest.mark.parametrize("layer", ["row", "diagonal"])
@pytest.mark.parametrize(
    ("size", "units", "num_colors"),
    [((4, 6), 3, 1), ((4, 5), 5, 3), ((3, 4), 8, 3)],
)
def test_lstm_block_sees_the_field_of_its_layer(size, units, num_colors, layer):
    shape = (*size, 2 * units)
    block = random_block(
        ResidualLSTMBlock(units, layer=layer, num_colors=num_colors), shape
    )
    if layer == "row":
        field = row_lstm_field(*size, num_colors, "B", 3)
    else:
        field = past_field(*size, num_colors)
    assert_sees_exactly(block, random_images(3, *shape), field)


@pytest.mark.parametrize("channels", [3, 5, 7])
@pytest.mark.parametrize(
    "make_block",
    [
        lambda: ResidualMaskedConvBlock(3),
        lambda: ResidualLSTMBlock(3, layer="row"),
        lambda: ResidualLSTMBlock(3, layer="diagonal"),
    ],
    ids=["masked_conv", "row", "diagonal"],
)
def test_input_of_another_width_is_refused(make_block, channels):
    with pytest.raises(ValueError, match=rf"(?s)6.*Received.*{channels}"):
        make_block()(np.zeros((2, 4, 6, channels), "float32"))


@pytest.mark.parametrize(
    ("make_block", "match"),
    [
        (lambda: ResidualLSTMBlock(3, layer="spiral"), "layer.*'spiral'"),
        (lambda: ResidualLSTMBlock(0), r"units.*Received.*0"),
        (lambda: ResidualLSTMBlock(-1, layer="row"), r"units.*Received.*-1"),
        (lambda: ResidualLSTMBlock(2, num_colors=3), r"units.*Received.*2"),
        (lambda: ResidualMaskedConvBlock(0), r"filters.*Received.*0"),
        (lambda: ResidualMaskedConvBlock(-1), r"filters.*Received.*-1"),
        (lambda: ResidualMaskedConvBlock(2, num_colors=3), r"filters.*Received.*2"),
        (lambda: ResidualMaskedConvBlock(4, kernel_size=2), r"kernel_size.*2"),
    ],
)
def test_bad_argument_is_refused(make_block, match):
    with pytest.raises(ValueError, match=f"(?s){match}"):
        make_block()


@pytest.mark.parametrize("block", [ResidualMaskedConvBlock, ResidualLSTMBlock])
def test_a_condition_without_weights_is_refused(block):
    images = np.zeros((2, 4, 5, 6), "float32")
    layer = block(3)
    layer(images)
    with pytest.raises(ValueError, match="built without `condition`"):
        layer(images, images)
