"""Models that see their own pixels are refused in training, drawing and export."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality import first_leak, probing
from keras_genimg.generation import sampler
from keras_genimg.layers import CausalLayer
from keras_genimg.models import PixelCNN
from tests.causality.refused import IMAGES, TEXT
from tests.causality.wired import wired
from tests.seldom import slow_but

CALLS = {
    "fit": lambda model, path: model.fit(IMAGES, verbose=0),
    "generate": lambda model, path: model.generate(1),
    "fixed_point": lambda model, path: model.generate(1, method="fixed_point"),
    "ancestral": lambda model, path: model.generate(1, method="ancestral"),
    "complete": lambda model, path: model.complete(IMAGES, IMAGES[0, ..., 0]),
    "log_prob": lambda model, path: model.log_prob(IMAGES),
    "bits_per_dim": lambda model, path: model.bits_per_dim(IMAGES),
    "evaluate": lambda model, path: model.evaluate(IMAGES, verbose=0),
    "train_on_batch": lambda model, path: model.train_on_batch(IMAGES),
    "test_on_batch": lambda model, path: model.test_on_batch(IMAGES),
    "train_step": lambda model, path: model.train_step((tf.constant(IMAGES),)),
    "export": lambda model, path: model.export(path / "model", verbose=False),
    "export fixed_point": lambda model, path: model.export(
        path / "model", method="fixed_point", verbose=False
    ),
}


@pytest.mark.parametrize(
    "name", slow_but(CALLS, "ancestral", "export", "log_prob", "evaluate", "train_step")
)
def test_calls_that_refuse_it(name, tmp_path):
    call, model = CALLS[name], wired(mask="B")
    for _ in range(2):
        with pytest.raises(ValueError, match=TEXT):
            call(model, tmp_path)
    assert not list(tmp_path.rglob("saved_model.pb"))
    model.check_causality = False
    if name == "export":
        # It always compares sampler and model, which agree if the model is causal.
        text = TEXT + ".*except for exports with the incremental sampler"
        with pytest.raises(ValueError, match=text):
            call(model, tmp_path)
    else:
        call(model, tmp_path)


@pytest.mark.slow
def test_a_graph_is_checked_once(monkeypatch):
    leaks, compared = mock.Mock(wraps=first_leak), mock.Mock()
    monkeypatch.setattr(probing, "first_leak", leaks)
    monkeypatch.setattr(sampler, "check_difference", compared)

    def counts():
        return leaks.call_count, compared.call_count

    model = wired()
    for _ in range(2):
        model.fit(IMAGES, verbose=0)
        model.generate(3, seed=0, batch_size=2, verbose=0)
        model.complete(IMAGES, IMAGES[0, ..., 0])
        model.set_weights([w * 2 for w in model.get_weights()])
    # `fit` also checks the forward pass of training, and the sampler is compared under
    # two sets of weights.
    assert counts() == (2, 2)
    model.get_layer("first").activation = keras.activations.relu
    model.fit(IMAGES, verbose=0)
    model.generate(2, seed=0)
    model.generate(2, seed=0, method="ancestral")
    assert counts() == (4, 4)
    model = wired()
    model.generate(2, seed=0)  # The sampler that agrees with the model is causal.
    assert counts() == (4, 6)
    model.generate(2, seed=0, method="fixed_point")
    assert counts() == (5, 6)
    model = wired()
    model.check_causality = False
    model.fit(IMAGES, verbose=0)
    model.generate(2, seed=0)
    assert leaks.call_count == 5


def test_images_of_any_size_are_probed_at_their_own():
    """The leak shows only in wide images."""
    far = keras.layers.Conv2D(4, (1, 3), dilation_rate=15, padding="same")
    model = wired(far, (None, None, 1))
    narrow, wide = np.zeros((2, 4, 8, 1), "uint8"), np.zeros((2, 4, 20, 1), "uint8")
    data = tf.data.Dataset.from_tensor_slices(wide).batch(2)
    for x in (wide, data):
        with pytest.raises(ValueError, match="not causal.*Conv2D"):
            model.fit(x, verbose=0)
    with pytest.raises(ValueError, match="not causal.*Conv2D"):
        model.generate(1, image_size=(4, 20), method="ancestral")
    model.generate(1, image_size=(4, 8), method="ancestral")
    model.fit(narrow, verbose=0)


def test_conditions_whose_size_is_not_known():
    """The probe cannot guess the size, and warns once."""
    small = keras.Input((None, None, 9), name="small")
    enlarge = keras.layers.UpSampling2D(2)
    model = wired(lambda x, small: x + enlarge(small), (None, None, 1), "A", [small])
    x = {"images": IMAGES[:, :, :4], "small": np.zeros((16, 2, 2, 9))}
    with pytest.warns(UserWarning, match="Could not check whether.*first_leak"):
        model.fit(x, verbose=0)
    conditions = {"small": x["small"][:3]}
    options = {"image_size": (4, 4), "method": "ancestral"}
    # Warnings are errors in tests, so this must not warn again.
    drawn = model.generate(3, conditions=conditions, **options)
    assert drawn.shape == (3, 4, 4, 1)
    options["method"] = "incremental"
    with pytest.warns(UserWarning, match="Could not check the sampler.*ancestral"):
        again = model.generate(3, seed=0, conditions=conditions, **options)
    options["method"] = "ancestral"
    expected = model.generate(3, seed=0, conditions=conditions, **options)
    np.testing.assert_array_equal(again, expected)


class Small(CausalLayer, keras.layers.Layer):
    """Passes small values on, and fails on others."""

    def call(self, inputs):
        return inputs

    def step(self, weights, carry, row, inputs):
        with tf.control_dependencies([tf.debugging.assert_less(abs(inputs), 1e-6)]):
            return tf.identity(inputs), (), ()


def test_a_sampler_that_fails_under_random_weights():
    model = wired(Small(), kernel_initializer="zeros")
    with pytest.raises(ValueError, match="sampler of wired cannot be checked.*random"):
        model.generate(1)
    model.check_causality = False
    assert model.generate(1).shape == (1, 4, 5, 1)


def test_the_switch_is_not_saved(tmp_path):
    model = PixelCNN((4, 5, 1), 4, 1)
    model.check_causality = False
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").check_causality


def test_a_check_that_takes_long_is_announced(monkeypatch, capsys):
    monkeypatch.setattr(probing, "_ANNOUNCED", 1e3)
    model = wired()
    model.generate(1, verbose=0)
    assert "wired: the graph is checked once" in capsys.readouterr().out
    model.generate(1, verbose=0)
    assert not capsys.readouterr().out
