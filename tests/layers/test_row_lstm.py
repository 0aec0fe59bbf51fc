import numpy as np
import pytest

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import RowLSTM
from tests import reference
from tests.causality import (
    assert_sees_exactly,
    random_images,
    row_lstm_field,
)


def random_layer(shape, *args, **kwargs):
    layer = RowLSTM(*args, **kwargs)
    layer.build((None, *shape))
    randomize(layer)
    return layer


def reference_outputs(layer, images, mask_type, num_colors, condition_term=None):
    return reference.row_lstm(
        images,
        np.asarray(layer.input_kernel),
        np.asarray(layer.recurrent_kernel),
        np.asarray(layer.bias),
        np.asarray(layer.initial_hidden),
        np.asarray(layer.initial_cell),
        mask_type,
        num_colors,
        condition_term,
    )


def test_weight_shapes():
    layer = random_layer((4, 6, 3), 5, kernel_size=7, num_colors=3)
    assert layer.input_kernel.shape == (1, 7, 3, 20)
    assert layer.recurrent_kernel.shape == (1, 7, 5, 20)
    assert layer.bias.shape == (20,)
    assert layer.initial_hidden.shape == (1, 5)
    assert layer.initial_cell.shape == (1, 5)
    assert len(layer.trainable_weights) == len(layer.weights) == 5


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize(
    ("shape", "units", "kernel_size", "num_colors"),
    [
        ((4, 6, 1), 3, 3, 1),
        ((5, 3, 2), 4, 5, 1),
        ((4, 6, 3), 3, 3, 3),
        ((5, 3, 3), 5, 5, 3),
        ((4, 6, 8), 8, 3, 3),
        ((5, 3, 5), 10, 3, 3),
        ((1, 6, 3), 5, 3, 3),
        ((5, 1, 3), 5, 3, 3),
    ],
)
def test_equals_reference(shape, units, kernel_size, num_colors, mask_type):
    layer = random_layer(
        shape,
        units,
        kernel_size=kernel_size,
        num_colors=num_colors,
        mask_type=mask_type,
    )
    images = random_images(2, *shape)
    expected = reference_outputs(layer, images, mask_type, num_colors)
    outputs = np.asarray(layer(images))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("condition_size", [(4, 5), (1, 1), (1, 5), (4, 1)])
def test_condition_is_added_to_the_gates(condition_size):
    layer = RowLSTM(5, num_colors=3)
    images = random_images(2, 4, 5, 3)
    condition = random_images(2, *condition_size, 3, seed=2)
    layer(images, condition)
    randomize(layer)
    assert layer.condition_kernel.shape == (3, 20)
    term = condition.astype("float64") @ np.asarray(layer.condition_kernel)
    term = np.broadcast_to(term, (2, 4, 5, 20))
    expected = reference_outputs(layer, images, "B", 3, term)
    outputs = np.asarray(layer(images, condition))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize(
    ("shape", "units", "kernel_size", "num_colors"),
    [
        ((6, 7, 1), 3, 3, 1),
        ((4, 9, 1), 3, 5, 1),
        ((5, 3, 2), 3, 3, 1),
        ((4, 6, 3), 3, 3, 3),
        ((5, 3, 3), 5, 3, 3),
        ((3, 7, 3), 10, 5, 3),
        ((3, 5, 8), 8, 3, 3),
    ],
)
def test_sees_the_whole_triangle(shape, units, kernel_size, num_colors, mask_type):
    layer = random_layer(
        shape,
        units,
        kernel_size=kernel_size,
        num_colors=num_colors,
        mask_type=mask_type,
    )
    field = row_lstm_field(*shape[:2], num_colors, mask_type, kernel_size)
    assert_sees_exactly(layer, random_images(3, *shape), field)


def test_field_is_the_papers_triangle():
    # Seen by pixel (3, 4): one pixel more to either side in each row above, and one
    # more to the left through the masked input-to-state convolution.
    field = row_lstm_field(5, 9, 1, "B", 3)[:, :, 0, 3, 4, 0]
    expected = np.array(
        [
            [1, 1, 1, 1, 1, 1, 1, 1, 0],
            [0, 1, 1, 1, 1, 1, 1, 0, 0],
            [0, 0, 1, 1, 1, 1, 0, 0, 0],
            [0, 0, 0, 1, 1, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0],
        ],
        bool,
    )
    np.testing.assert_array_equal(field, expected)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"mask_type": "C"}, "mask_type.*'C'"),
        ({"kernel_size": 2}, r"kernel_size.*Received.*2"),
        ({"kernel_size": 1}, r"kernel_size.*Received.*1"),
        ({"units": 0}, r"units.*Received.*0"),
        ({"units": -1}, r"units.*Received.*-1"),
        ({"units": 2, "num_colors": 3}, r"units.*Received.*2"),
        ({"num_colors": 0}, r"num_colors.*Received.*0"),
    ],
)
def test_bad_argument_is_refused(arguments, match):
    with pytest.raises(ValueError, match=f"(?s){match}"):
        RowLSTM(**({"units": 4} | arguments))


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((4, 6, 3), r"(rank |ndim=)3"),
        ((2, 4, 6, 2), r"channels.*2.*num_colors=3"),
    ],
)
def test_bad_input_is_refused(shape, match):
    layer = RowLSTM(6, num_colors=3)
    with pytest.raises(ValueError, match=f"(?s){match}"):
        layer(np.zeros(shape, "float32"))
