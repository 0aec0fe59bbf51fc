"""Dependency fields of models and layers.

tests/causality/test_past.py compares those of all families with another method.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality import dependency_field
from keras_genimg.layers import RowLSTM
from keras_genimg.models import PixelCNN, PixelRNN


def test_a_model_of_any_size_keeps_its_weights():
    model = PixelRNN((None, None, 1), 6, 1, first_kernel_size=3, num_classes=4)
    weights = model.get_weights()
    field = dependency_field(model, (3, 2), image_size=(5, 6))
    # The network's own blind spot is the last pixel of the row above.
    expected = np.arange(30).reshape(5, 6) < 3 * 6 + 2
    expected[2, 5] = False
    np.testing.assert_array_equal(field, expected)
    np.testing.assert_equal(model.get_weights(), weights)


class Recomputed(keras.layers.Layer):
    """Scales its input, by a weight that is read again for the gradient."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(), initializer="zeros", name="scale")

    def call(self, inputs):
        return tf.recompute_grad(lambda x: x * self.scale.value)(inputs)


def test_gradients_see_the_random_weights():
    inputs = keras.Input((6, 9, 2))
    field = dependency_field(keras.Model(inputs, Recomputed()(inputs)), (2, 3))
    assert field[2, 3] and field.sum() == 1


def test_bad_arguments_of_fields_are_refused():
    model = PixelCNN((None, 4, 1), 4, 1)
    with pytest.raises(ValueError, match="image_size=None"):
        dependency_field(model, (0, 0))
    with pytest.raises(ValueError, match=r"image_size=\(3, 5\)"):
        dependency_field(model, (0, 0), image_size=(3, 5))
    with pytest.raises(ValueError, match=r"3 rows and 4 columns.*pixel=\(3, 0\)"):
        dependency_field(model, (3, 0), image_size=(3, 4))
    with pytest.raises(ValueError, match=r"pixel=\(0, 4\)"):
        dependency_field(model, (0, 4), image_size=(3, 4))
    with pytest.raises(ValueError, match="functional keras.Model"):
        dependency_field(RowLSTM(4), (0, 0))
    inputs = keras.Input((4, 4, 1))
    pooled = keras.Model(inputs, keras.layers.MaxPooling2D()(inputs))
    with pytest.raises(ValueError, match=r"outputs of shape \(1, 2, 2, 1\)"):
        dependency_field(pooled, (0, 0))
