"""Dependency fields of layers by hand, and of models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality import dependency_field
from keras_genimg.layers import MaskedConv2D, RowLSTM
from keras_genimg.models import PixelCNN, PixelRNN

ROWS, COLUMNS = np.indices((6, 9))


def field_of(*layers, pixel):
    inputs = x = keras.Input((6, 9, 2))
    for layer in layers:
        x = layer(x)
    return dependency_field(keras.Model(inputs, x), pixel)


@pytest.mark.parametrize(
    "pixel, kernel_size", [((4, 4), 3), ((4, 4), 5), ((3, 8), 3), ((5, 0), 5)]
)
def test_row_lstm_sees_a_triangle(pixel, kernel_size):
    reach = kernel_size // 2
    up, side = pixel[0] - ROWS, COLUMNS - pixel[1]
    # The states above widen by `reach` a row, and read as far to their left.
    expected = (up >= 0) & (-(up + 1) * reach <= side) & (side <= up * reach)
    field = field_of(RowLSTM(4, kernel_size), pixel=pixel)
    np.testing.assert_array_equal(field, expected)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_masked_convolutions_have_a_blind_spot(depth):
    stack = [MaskedConv2D(8, 3, mask, activation="relu") for mask in "ABB"[:depth]]
    up, side = 5 - ROWS, COLUMNS - 4
    # To the right they reach no further than a diagonal, however many they are.
    above = (0 < up) & (up <= depth) & (-depth <= side) & (side <= up)
    left = (up == 0) & (-depth <= side) & (side < 0)
    np.testing.assert_array_equal(field_of(*stack, pixel=(5, 4)), above | left)


@pytest.mark.parametrize(
    "model",
    [
        PixelCNN((None, None, 1), 6, 2, first_kernel_size=3),
        PixelRNN((None, None, 1), 6, 1, first_kernel_size=3, num_classes=4),
    ],
    ids=["cnn", "diagonal"],
)
def test_models_of_any_size_keep_their_weights(model):
    weights = model.get_weights()
    field = dependency_field(model, (3, 2), image_size=(5, 6))
    assert field.shape == (5, 6)
    assert not field[3, 2:].any() and not field[4:].any()
    assert field[3, :2].all() and field[2, :4].all()
    # The network's own blind spot: the last pixel of the row above.
    assert field[:2].all() == field[2, 4] == isinstance(model, PixelRNN)
    assert not field[2, 5]
    np.testing.assert_equal(model.get_weights(), weights)


def test_a_first_kernel_of_twice_the_width_leaves_no_blind_spot():
    model = PixelCNN((5, 4, 1), 4, 1, first_kernel_size=2 * 5 - 1)
    for row, column in [(0, 3), (2, 1), (4, 0), (4, 3)]:
        field = dependency_field(model, (row, column))
        np.testing.assert_array_equal(
            field.reshape(-1), np.arange(20) < 4 * row + column
        )


def test_a_pixel_of_an_rgb_model_sees_itself():
    field = dependency_field(PixelCNN((3, 4, 3), 6, 1), (1, 1))
    assert field[1].tolist() == [True, True, False, False]


class Recomputed(keras.layers.Layer):
    """Scales its input, by a weight that is read again for the gradient."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(), initializer="zeros", name="scale")

    def call(self, inputs):
        return tf.recompute_grad(lambda x: x * self.scale.value)(inputs)


def test_gradients_see_the_random_weights():
    field = field_of(Recomputed(), pixel=(2, 3))
    assert field[2, 3] and field.sum() == 1


def test_bad_arguments_are_refused():
    model = PixelCNN((None, 4, 1), 4, 1)
    with pytest.raises(ValueError, match="image_size=None"):
        dependency_field(model, (0, 0))
    with pytest.raises(ValueError, match=r"image_size=\(3, 5\)"):
        dependency_field(model, (0, 0), image_size=(3, 5))
    with pytest.raises(ValueError, match=r"3 rows and 4 columns.*pixel=\(3, 0\)"):
        dependency_field(model, (3, 0), image_size=(3, 4))
    with pytest.raises(ValueError, match="functional keras.Model"):
        dependency_field(RowLSTM(4), (0, 0))
    inputs = keras.Input((4, 4, 1))
    pooled = keras.Model(inputs, keras.layers.MaxPooling2D()(inputs))
    with pytest.raises(ValueError, match=r"outputs of shape \(1, 2, 2, 1\)"):
        dependency_field(pooled, (0, 0))
