"""Causal models pass, and planted faults are named.

tests/causality/test_report.py checks the numbers independently.
"""

import keras
import numpy as np
import pytest

from keras_genimg.causality import assert_causal, influence
from keras_genimg.layers import MaskedConv2D, RowLSTM, SplitColors
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import AutoregressiveModel, PixelCNN, PixelRNN


def wired(shape=(4, 5, 1), num_values=2, mask="A", middle=None, num_colors=None):
    """Return a model of two masked convolutions with a test's layer in between."""
    num_colors = num_colors or shape[-1]
    likelihood = Categorical(num_values) if num_values > 2 else "bernoulli"
    images = keras.Input(shape)
    x = MaskedConv2D(9, 3, mask, num_colors)(images)
    x = x if middle is None else middle(x)
    size = num_values if num_values > 2 else 1
    x = MaskedConv2D(shape[-1] * size, 1, "B", shape[-1])(x)
    x = SplitColors(shape[-1])(x) if size > 1 else x
    return AutoregressiveModel(images, x, likelihood, name="wired")


def test_the_paper_s_network_lacks_its_blind_spot_alone():
    model = PixelRNN((2, 4, 1), 6, 1, first_kernel_size=3)
    options = {"num_images": 5, "randomize": True}
    report = assert_causal(model, **options)
    # The kernel reaches one pixel to the right.
    expected = [(0, 3, 0, 1, column, 0) for column in (0, 1)]
    np.testing.assert_array_equal(report.missing, expected)
    assert not report.complete
    with pytest.raises(AssertionError, match="not complete.* 2 are missing"):
        assert_causal(model, complete=True, **options)


def test_a_complete_model_is_called_complete():
    model = PixelRNN((3, 3, 1), 6, 1, first_kernel_size=5)  # Reaches across the row.
    report = assert_causal(model, num_images=5, randomize=True, complete=True)
    assert report.complete and report.num_seen == report.num_past == 36


def unmasked():
    return {"middle": keras.layers.Conv2D(9, 3, padding="same")}


def forgotten_colors():
    return {"middle": MaskedConv2D(9, 1, "B", num_colors=1)}


@pytest.mark.parametrize(
    ("shape", "num_values", "fault", "changed", "reason"),
    [
        ((4, 5, 1), 2, unmasked, (1, 0), "which is drawn earlier: .* not masked"),
        ((3, 4, 3), 4, unmasked, (1, 0), "which is drawn earlier: .* not masked"),
        ((4, 5, 1), 2, lambda: {"mask": "B"}, (0, 0), r"same position: .* pairs: 20\."),
        ((3, 4, 3), 2, lambda: {"mask": "B"}, (0, 0), r"same position: .* pairs: 36\."),
        ((3, 4, 3), 4, forgotten_colors, (0, 1), "an earlier color.*`num_colors`"),
    ],
)
def test_faults_are_found(shape, num_values, fault, changed, reason):
    model = wired(shape, num_values, **fault())
    column, color = changed
    text = (
        rf"wired is not causal. Changing sub-pixel \(row 0, column {column}, color "
        rf"{color}\) changes the parameters of \(row 0, column 0, color 0\), .*{reason}"
    )
    with pytest.raises(AssertionError, match=text):
        assert_causal(model)


def test_gray_masks_that_read_rgb_hide_the_pixel_but_leak_nothing():
    report = assert_causal(wired((3, 4, 3), num_colors=1), randomize=True)
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
    model = wired((3, 4, 1))
    seen = influence(model, randomize=True, batch_size=100)
    for batch_size in (1, 7):
        again = influence(model, randomize=True, batch_size=batch_size)
        np.testing.assert_array_equal(again, seen)


def test_given_images_and_any_size():
    model = wired((None, None, 1), middle=RowLSTM(9))
    images = np.zeros((2, 3, 6, 1), "uint8")
    assert influence(model, images).shape == (3, 6, 1, 3, 6, 1)
    assert influence(model, image_size=(5, 2)).shape == (5, 2, 1, 5, 2, 1)
    assert (images == 0).all()


def test_bytes_of_256_values():
    model = wired(num_values=256)
    images = np.full((1, 4, 5, 1), 255, "uint8")
    assert assert_causal(model, images=images).num_seen > 0


def test_booleans_as_images_of_256_values():
    """Changed pixels stayed True, so that no influence was seen."""
    model = wired(num_values=256, mask="B")
    with pytest.raises(AssertionError, match="same position"):
        assert_causal(model, images=np.ones((1, 4, 5, 1), bool))


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


def test_other_models_and_numbers_are_refused():
    inputs = keras.Input((4, 5, 1))
    model = keras.Model(inputs, MaskedConv2D(1, 3, "A")(inputs))
    with pytest.raises(ValueError, match="AutoregressiveModel.*Received: Functional"):
        assert_causal(model)
    model = wired()
    model.set_weights([np.full(w.shape, np.nan) for w in model.get_weights()])
    with pytest.raises(ValueError, match="wired returned numbers that are not finite"):
        influence(model)
