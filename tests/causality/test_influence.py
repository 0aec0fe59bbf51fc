"""Causal models pass, planted faults are named, and fields of any size are told.

tests/causality/test_report.py checks the numbers independently.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality import assert_causal, dependency_field, influence
from keras_genimg.layers import MaskedConv2D, RowLSTM
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import PixelCNN, PixelRNN
from tests.causality.wired import wired


def test_the_paper_s_network_lacks_its_blind_spot_alone():
    options = {"num_images": 5, "randomize": True}
    model = PixelRNN((2, 4, 1), 6, 1, first_kernel_size=3)
    report = assert_causal(model, **options)
    # The kernel reaches one pixel to the right.
    expected = [(0, 3, 0, 1, column, 0) for column in (0, 1)]
    np.testing.assert_array_equal(report.missing, expected)
    assert not report.complete
    with pytest.raises(AssertionError, match="not complete.* 2 are missing"):
        assert_causal(model, complete=True, **options)
    model = PixelRNN((3, 3, 1), 6, 1, first_kernel_size=5)  # Reaches across the row.
    report = assert_causal(model, complete=True, **options)
    assert report.complete and report.num_seen == report.num_past == 36


GRAY, RGB = {"shape": (4, 5, 1)}, {"shape": (3, 4, 3)}
FOUR = {**RGB, "likelihood": Categorical(4)}


def unmasked(x):
    return keras.layers.Conv2D(9, 3, padding="same")(x)


def forgotten_colors(x):
    return MaskedConv2D(9, 1, "B", num_colors=1)(x)


@pytest.mark.parametrize(
    "options, changed, reason",
    [
        ({**GRAY, "middle": unmasked}, (1, 0), "which is drawn earlier: .* not masked"),
        ({**FOUR, "middle": unmasked}, (1, 0), "which is drawn earlier: .* not masked"),
        ({**GRAY, "mask": "B"}, (0, 0), r"same position: .* pairs: 20\."),
        ({**RGB, "mask": "B"}, (0, 0), r"same position: .* pairs: 36\."),
        ({**FOUR, "middle": forgotten_colors}, (0, 1), "an earlier color.*`num_col"),
    ],
)
def test_faults_are_found(options, changed, reason):
    model = wired(**options)
    column, color = changed
    text = (
        rf"wired is not causal. Changing sub-pixel \(row 0, column {column}, color "
        rf"{color}\) changes the parameters of \(row 0, column 0, color 0\), .*{reason}"
    )
    with pytest.raises(AssertionError, match=text):
        assert_causal(model)


def test_gray_masks_that_read_rgb_hide_the_pixel_but_leak_nothing():
    report = assert_causal(wired(shape=(3, 4, 3), num_colors=1), randomize=True)
    assert [0, 0, 0, 0, 0, 1] in report.missing.tolist()


def test_a_fault_of_the_weights_is_seen_where_it_is():
    """A leak with a weight of 0 is in the graph, but not in the model."""
    leak = keras.layers.Conv2D(9, 3, padding="same")
    model = wired(middle=leak)
    kernel = np.zeros(leak.kernel.shape)
    kernel[1, 1] = np.eye(9)
    leak.kernel.assign(kernel)
    weights = model.get_weights()
    assert_causal(model)
    with pytest.raises(AssertionError, match="not causal"):
        assert_causal(model, randomize=True)
    np.testing.assert_equal(model.get_weights(), weights)


def test_batches_change_nothing():
    model = wired(shape=(3, 4, 1))
    seen = influence(model, randomize=True, batch_size=100)
    for batch_size in (1, 7):
        again = influence(model, randomize=True, batch_size=batch_size)
        np.testing.assert_array_equal(again, seen)


def test_given_images_and_any_size():
    model = wired(RowLSTM(9), (None, None, 1))
    images = np.zeros((2, 3, 6, 1), "uint8")
    assert influence(model, images).shape == (3, 6, 1, 3, 6, 1)
    assert influence(model, image_size=(5, 2)).shape == (5, 2, 1, 5, 2, 1)
    assert (images == 0).all()


@pytest.mark.parametrize(
    "images", [np.full((1, 4, 5, 1), 255, "uint8"), np.ones((1, 4, 5, 1), bool)]
)
def test_bytes_and_booleans_of_256_values(images):
    """Changed pixels stayed True, so that no influence was seen."""
    report = assert_causal(wired(likelihood=Categorical(256)), images=images)
    assert report.num_seen > 0


def test_conditions_are_as_in_generate():
    model = PixelCNN((2, 3, 1), 4, 1, num_classes=3)
    assert assert_causal(model, num_images=2, conditions=[0, 2]).num_past == 15
    model = PixelCNN((2, 3, 1), 4, 1, condition_shape=(2, 3, 2))
    assert_causal(model, num_images=2, conditions={"condition": np.ones((2, 2, 3, 2))})
    with pytest.raises(ValueError, match="must give the inputs"):
        assert_causal(model)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"num_images": 0}, "num_images=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"image_size": (9, 9)}, "influence needs `image_size="),
        ({"images": np.zeros((2, 4, 5))}, "influence expects images of shape"),
        ({"images": np.full((1, 4, 5, 1), 2)}, "integers from 0 to 1"),
        ({"images": np.zeros((0, 4, 5, 1))}, "received no images"),
    ],
)
def test_bad_arguments_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        influence(wired(), **options)


def test_numbers_that_are_not_finite_are_refused():
    model = wired()
    model.set_weights([np.full(w.shape, np.nan) for w in model.get_weights()])
    with pytest.raises(ValueError, match="wired returned numbers that are not finite"):
        influence(model)


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
    with pytest.raises(ValueError, match="functional keras.Model"):
        dependency_field(RowLSTM(4), (0, 0))
    inputs = keras.Input((4, 4, 1))
    pooled = keras.Model(inputs, keras.layers.MaxPooling2D()(inputs))
    with pytest.raises(ValueError, match=r"outputs of shape \(1, 2, 2, 1\)"):
        dependency_field(pooled, (0, 0))
