"""Causal layers: their numbers, and what they see."""

import functools
import inspect
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.layers import (
    DiagonalBiLSTM,
    GatedHorizontalConv,
    GatedVerticalConv,
    MaskedConv2D,
    ResidualLSTMBlock,
    ResidualMaskedConvBlock,
    RowLSTM,
)
from tests import reference
from tests.causality import (
    assert_sees_exactly,
    convolution_field,
    diagonal_bilstm_field,
    past_field,
    random_images,
    randomized,
    row_lstm_field,
    to_field,
)
from tests.layers.graph_ops import ops_of


def masked_conv2d(layer, images):
    masked = layer.mask_type, layer.num_colors
    return reference.masked_conv2d(images, *layer.get_weights(), *masked)


def residual_conv(block, images):
    hidden = images
    for layer in (block.reduce, block.convolution, block.expand):
        hidden = masked_conv2d(layer, np.maximum(hidden, 0.0))
    return images + hidden


def pixel_lstm(layer, images, *conditions):
    kernel = np.asarray(layer.condition_kernel) if conditions else None
    terms = [condition.astype("float64") @ kernel for condition in conditions]
    return reference.pixel_lstm(images, layer, *terms)


def residual_lstm(block, images):
    return images + masked_conv2d(block.expand, pixel_lstm(block.lstm, images))


def gate(x):
    signal, gates = np.split(x, 2, axis=-1)
    return np.tanh(signal) * reference.logistic(gates)


def horizontal_conv(layer, inputs, vertical, condition=0.0):
    weights = {
        # `np.float64` of NumPy 1.26 would make a number of an array of one element.
        weight.path.split("/", 1)[1]: weight.numpy().astype("float64")
        for weight in layer.weights
    }
    if layer.project is not None:
        condition = np.float64(condition) @ weights["project/kernel"]
    kernel, bias = weights["convolution/kernel"], weights["convolution/bias"]
    masked = layer.mask_type, layer.num_colors
    features = reference.masked_conv2d(inputs, kernel, bias, *masked, maps=2)
    features += np.float64(vertical) @ weights["link/kernel"] + condition
    kernel, bias = weights["combine/kernel"], weights["combine/bias"]
    outputs = reference.masked_conv2d(gate(features), kernel, bias, "B", masked[1])
    return outputs if layer.mask_type == "A" else outputs + inputs


def vertical_conv(layer, inputs, condition=0.0):
    kernel, bias = (np.float64(weight) for weight in layer.get_weights()[:2])
    if layer.project is not None:
        condition = np.float64(condition) @ np.float64(layer.project.kernel)
    x = np.float64(inputs)
    x = gate(x) if layer.mask_type == "B" else x
    # With zeros for the rows that it does not see, the kernel has its pixel inside.
    full = np.zeros((*2 * [layer.kernel_size], x.shape[-1], 2 * layer.filters))
    full[: len(kernel)] = kernel
    return reference.convolve(x, full) + bias + condition


def square_field(height, width, num_colors, mask_type, kernel_size):
    size = np.broadcast_to(kernel_size, 2)
    return convolution_field(height, width, num_colors, mask_type, size)


def diagonal_field(height, width, num_colors, mask_type, _):
    if mask_type == "B":
        return past_field(height, width, num_colors)
    return diagonal_bilstm_field(height, width, num_colors, mask_type)


def row_field(height, width, num_colors, mask_type, kernel_size):
    return convolution_field(height, width, num_colors, mask_type, (1, kernel_size))


def rectangle_above(height, width, num_colors, mask_type, kernel_size):
    reach = kernel_size // 2
    reads = {
        (r, c, 0): {
            (row, column, 0)
            for row in range(r - reach, r + (mask_type == "B"))
            for column in range(c - reach, c + reach + 1)
        }
        for r, c in np.ndindex(height, width)
    }
    return to_field(height, width, num_colors, reads)


ROW_BLOCK = functools.partial(ResidualLSTMBlock, layer="row")
DIAGONAL_BLOCK = functools.partial(ResidualLSTMBlock, layer="diagonal")
# How a layer is made, its reference, and its field.
KINDS = {
    "MaskedConv2D": (MaskedConv2D, masked_conv2d, square_field),
    "masked block": (ResidualMaskedConvBlock, residual_conv, square_field),
    "RowLSTM": (RowLSTM, pixel_lstm, row_lstm_field),
    "row block": (ROW_BLOCK, residual_lstm, row_lstm_field),
    "DiagonalBiLSTM": (DiagonalBiLSTM, pixel_lstm, diagonal_field),
    "diagonal block": (DIAGONAL_BLOCK, residual_lstm, diagonal_field),
    "GatedHorizontalConv": (GatedHorizontalConv, horizontal_conv, row_field),
    "GatedVerticalConv": (GatedVerticalConv, vertical_conv, rectangle_above),
}


class Case(NamedTuple):
    """Arguments of a layer, and the shapes of what it is called with."""

    shapes: list  # Images, then a vertical map or a condition, or both.
    units: int
    kernel_size: int | tuple = 3
    num_colors: int = 1
    masks: str = "AB"  # Each one is a test.


LSTMS = [
    Case([(6, 7, 1)], units=3),
    Case([(4, 9, 1), (4, 9, 2)], units=3, kernel_size=5),
    Case([(5, 3, 2), (1, 1, 2)], units=4, kernel_size=5),
    Case([(4, 6, 3), (1, 6, 2)], units=3, num_colors=3),
    Case([(5, 3, 3), (5, 1, 2)], units=5, kernel_size=5, num_colors=3),
    Case([(3, 5, 8)], units=8, num_colors=3),
    Case([(3, 4, 5)], units=10, num_colors=3),
    Case([(1, 6, 3)], units=5, num_colors=3),
    Case([(5, 1, 3)], units=5, num_colors=3),
]
LSTM_BLOCKS = [
    Case([(4, 6, 6)], units=3, masks="B"),
    Case([(4, 5, 10)], units=5, num_colors=3, masks="B"),
    Case([(3, 4, 16)], units=8, num_colors=3, masks="B"),
]
# These cases of LSTMs are slow; others with a condition or uneven colors stay fast.
SLOW = [[(5, 3, 2), (1, 1, 2)], [(3, 5, 8)]]
CASES = {
    "MaskedConv2D": [
        Case([(6, 6, 1)], units=2),
        Case([(4, 6, 1)], units=1, kernel_size=7),
        Case([(5, 3, 2)], units=4, kernel_size=(3, 5)),
        Case([(4, 6, 3)], units=3, num_colors=3),
        Case([(5, 3, 3)], units=5, kernel_size=5, num_colors=3),
        Case([(4, 6, 8)], units=8, num_colors=3),
        Case([(5, 3, 5)], units=10, kernel_size=(5, 3), num_colors=3),
        # A single pixel, all of which mask A hides.
        Case([(4, 6, 1)], units=1, kernel_size=1, masks="B"),
        Case([(4, 6, 5)], units=8, kernel_size=1, num_colors=3, masks="B"),
    ],
    "masked block": [
        Case([(4, 6, 6)], units=3, masks="B"),
        Case([(5, 3, 8)], units=4, kernel_size=5, masks="B"),
        Case([(4, 6, 10)], units=5, num_colors=3, masks="B"),
        Case([(3, 5, 16)], units=8, num_colors=3, masks="B"),
    ],
    "RowLSTM": LSTMS,
    "row block": LSTM_BLOCKS,
    # Mask "A" hides all of one color from a diagonal.
    "DiagonalBiLSTM": [
        case if case.num_colors > 1 else case._replace(masks="B") for case in LSTMS
    ],
    "diagonal block": LSTM_BLOCKS,
    "GatedHorizontalConv": [
        Case([(4, 6, 1), (4, 6, 4), (4, 6, 3)], units=1),
        Case([(3, 5, 2), (3, 5, 4), (3, 1, 3)], units=3, kernel_size=5, masks="A"),
        Case([(3, 5, 3), (3, 5, 4), (3, 1, 3)], units=3, kernel_size=5, masks="B"),
        Case([(4, 3, 3), (4, 3, 4), (1, 1, 3)], units=3, num_colors=3),
        Case(
            [(3, 4, 3), (3, 4, 4), (1, 4, 3)],
            units=5,
            kernel_size=7,
            num_colors=3,
            masks="A",
        ),
        Case(
            [(3, 4, 5), (3, 4, 4), (1, 4, 3)],
            units=5,
            kernel_size=7,
            num_colors=3,
            masks="B",
        ),
        Case([(1, 4, 5), (1, 4, 4)], units=8, num_colors=3, masks="A"),
        Case([(1, 4, 8), (1, 4, 4)], units=8, num_colors=3, masks="B"),
    ],
    "GatedVerticalConv": [
        Case([(4, 6, 2), (4, 6, 3)], units=1),
        Case([(5, 3, 4), (1, 3, 3)], units=3, kernel_size=5),
        Case([(1, 4, 2), (1, 1, 3)], units=2),
        Case([(3, 1, 6)], units=2, kernel_size=7),
    ],
}


@pytest.mark.parametrize(
    ("kind", "case", "mask_type"),
    [
        pytest.param(
            *(kind, case, mask_type),
            marks=[pytest.mark.slow] * (case.shapes in SLOW),
        )
        for kind, cases in CASES.items()
        for case in cases
        for mask_type in case.masks
    ],
)
def test_equals_reference_and_sees_its_whole_field(kind, case, mask_type):
    make, expected, field = KINDS[kind]
    given = {**case._asdict(), "mask_type": mask_type}
    taken = (given.keys() & inspect.signature(make).parameters) - {"units"}
    layer = make(case.units, **{name: given[name] for name in taken})
    randomized(layer, *case.shapes)
    # An influence may be lost to rounding, but not in all images.
    count = 2 if "LSTM" in kind else 4
    inputs = [
        random_images(count, *shape, seed=i) for i, shape in enumerate(case.shapes)
    ]
    outputs = layer(*inputs)
    np.testing.assert_allclose(outputs, expected(layer, *inputs), rtol=1e-5, atol=1e-6)

    images, *others = inputs
    if kind == "masked block":
        # No value is negative, so no ReLU hides an influence.
        images = np.abs(images)
        for weight in layer.weights:
            weight.assign(tf.abs(weight))

    def call(images):
        return layer(images, *(np.repeat(x[:1], len(images), 0) for x in others))

    size = case.shapes[0][:2]
    field = field(*size, case.num_colors, mask_type, case.kernel_size)
    assert_sees_exactly(call, images, field)


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


def test_one_initializer_gives_each_weight_other_values():
    goes_on = keras.initializers.RandomNormal(seed=keras.random.SeedGenerator(0))
    for start in ("random_normal", goes_on):
        lstm = DiagonalBiLSTM(2, kernel_initializer=start, state_initializer=start)
        lstm.build((None, 4, 5, 3), (None, 1, 1, 3))
        gated = GatedHorizontalConv(2, kernel_initializer=start)
        gated.build((None, 4, 5, 2), (None, 4, 5, 3), (None, 1, 1, 3))
        # Both have the same size, so that they would be equal from one seed.
        for one, other in [
            (lstm.input_kernel, lstm.condition_kernel),
            (lstm.initial_hidden, lstm.initial_cell),
            (gated.link.kernel, gated.project.kernel),
        ]:
            assert (np.ravel(one) != np.ravel(other)).all()


@pytest.mark.slow
def test_a_cpu_has_four_segments_by_default():
    # tests/gpu/test_numerics.py has the number for a GPU.
    with tf.device("CPU"):
        assert ops_of(None) == ops_of(4) != ops_of(1)


def test_the_config_keeps_the_default_number_of_segments():
    layer = DiagonalBiLSTM(3)
    layer(random_images(2, 3, 4, 2))
    assert layer.get_config()["num_segments"] is None
