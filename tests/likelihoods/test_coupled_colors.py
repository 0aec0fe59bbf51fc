"""Likelihoods that couple the colors of a pixel, in all methods of models."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality import first_leak
from keras_genimg.causality.random_weights import randomize
from keras_genimg.generation.sampler_key import SamplerKey
from keras_genimg.layers import MaskedConv2D
from keras_genimg.likelihoods import DiscretizedLogisticMixture
from keras_genimg.models import DRAW, AutoregressiveModel, PixelCNN, PixelRNN
from keras_genimg.networks import likelihood_head
from tests.causality import influence
from tests.likelihoods.coupled import PixelTable
from tests.sampling.drawn import TIE, assert_ancestral
from tests.sampling.forced import assert_sampled_as_computed

SHAPE = (3, 4, 3)
SIZES = {"head_filters": 6, "first_kernel_size": 3}
TABLE, MIXTURE = PixelTable(3), DiscretizedLogisticMixture(5, 2)
# Ties, where rounding decides, are possible between the values of a mixture.
SLACK = {TABLE: 0.0, MIXTURE: TIE}
slow = pytest.mark.slow


def by_hand(shape, likelihood, num_colors=1):
    images = keras.Input(shape)
    x = MaskedConv2D(6, 3, "A", num_colors, name="guilty")(images)
    x = keras.layers.Activation("tanh")(x)
    x = likelihood_head(x, likelihood, shape[-1])
    return AutoregressiveModel(images, x, likelihood)


MODELS = {
    "cnn": lambda shape, p: PixelCNN(shape, 3, 1, likelihood=p, **SIZES),
    "row": lambda shape, p: PixelRNN(
        shape, 3, 1, "row", num_classes=2, likelihood=p, **SIZES
    ),
    "diagonal": lambda shape, p: PixelRNN(shape, 4, 1, likelihood=p, **SIZES),
    "by_hand": by_hand,
}


def make(name, likelihood, shape=SHAPE):
    keras.utils.set_random_seed(3)
    model = MODELS[name](shape, likelihood)
    model.set_weights([3 * w for w in model.get_weights()])  # Away from uniform.
    return model


def test_probabilities_of_all_images_sum_to_1():
    model = make("cnn", DiscretizedLogisticMixture(3, 2), (1, 2, 3))
    pixels = itertools.product(range(3), repeat=6)
    images = np.array(list(pixels), "uint8").reshape(-1, 1, 2, 3)
    nats = model.log_prob(images, batch_size=1024).astype("float64")
    np.testing.assert_allclose(np.exp(nats).sum(), 1, rtol=1e-5)
    assert nats.std() > 0.3


@slow
@pytest.mark.parametrize(
    "name, shape, likelihood, options",
    [
        ("cnn", SHAPE, TABLE, {"method": "ancestral"}),
        ("cnn", (3, 4, 2), MIXTURE, {"method": "fixed_point"}),
        ("row", SHAPE, MIXTURE, {}),
        ("diagonal", SHAPE, TABLE, {"method": "fixed_point", "jit_compile": True}),
        ("by_hand", SHAPE, MIXTURE, {"jit_compile": True}),
    ],
    ids=str,
)
def test_draws_from_the_parameters_of_the_forward_pass(
    name, shape, likelihood, options
):
    model = make(name, likelihood, shape)
    conditions = [0, 1, 1, 0, 1] if len(model.inputs) > 1 else None
    assert_sampled_as_computed(model, 5, conditions)
    for temperature in (1.0, 0.5):
        arguments = {"conditions": conditions, "temperature": temperature}
        drawn = model.generate(5, seed=0, **arguments, **options)
        assert drawn.dtype == np.uint8 and len(np.unique(drawn)) >= 3
        assert_ancestral(model, drawn, **arguments, slack=SLACK[likelihood])


@slow
def test_one_evaluation_a_pixel(monkeypatch):
    shapes, sample = [], DiscretizedLogisticMixture.sample

    def recorded(self, params, uniforms, temperature=1.0):
        if not tf.executing_eagerly():  # The check of the likelihood is eager.
            shapes.append((params.shape[1:], uniforms.shape[1:]))
        return sample(self, params, uniforms, temperature)

    monkeypatch.setattr(DiscretizedLogisticMixture, "sample", recorded)
    model = make("diagonal", MIXTURE)
    model.generate(1, seed=0)
    # Traced once, for two pixels in a row with all of their colors.
    assert shapes == [((20,), (3,))] * 2
    shapes.clear()
    tf.config.run_functions_eagerly(True)
    try:
        key = SamplerKey("ancestral", SHAPE, False, "any")
        model._samplers.scheme.generate(key, tf.constant([5]), 1.0)
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(shapes) == 12


@slow
@pytest.mark.parametrize("name, likelihood", [("cnn", TABLE), ("diagonal", MIXTURE)])
def test_no_feature_of_a_pixel_sees_its_colors(name, likelihood):
    model = make(name, likelihood)
    assert first_leak(model) is None
    randomize(model)
    image = np.random.default_rng(0).integers(3, size=SHAPE).astype("float32")
    steps = ((image + 1) % 3 - image).ravel()
    seen = influence(model, [image], steps).any(axis=(2, 5))
    assert seen.shape == (3, 4, 3, 4)
    assert seen[0, 0, 0, 1] and not seen[0, 0, 0, 0]


@slow
def test_a_network_that_knows_the_colors_leaks():
    model = by_hand(SHAPE, TABLE, num_colors=3)
    assert "need num_colors=1" in str(first_leak(model))
    with pytest.raises(ValueError, match="not causal.*num_colors=1"):
        model.generate(1)


@slow
def test_loads_with_a_likelihood_of_ones_own(tmp_path):
    model = make("diagonal", TABLE)
    model.save(tmp_path / "model.keras")
    revived = keras.models.load_model(tmp_path / "model.keras")
    assert revived.likelihood == TABLE
    images = np.random.default_rng(0).integers(3, size=(6, *SHAPE))
    np.testing.assert_array_equal(revived.log_prob(images), model.log_prob(images))


@pytest.mark.parametrize("num_colors", [1, 3])
def test_untrained_models_of_a_mixture_are_about_uniform(num_colors):
    shape = (8, 8, num_colors)
    x = np.random.default_rng(0).integers(256, size=(8, *shape)).astype("uint8")
    model = PixelCNN(shape, 8, 2, likelihood="logistic_mixture")
    nats = -model.log_prob(x).mean()
    assert abs(nats / (np.prod(shape) * np.log(256)) - 1) < 0.1


@slow
@pytest.mark.parametrize("temperature, likelihood", [(1.0, TABLE), (0.5, MIXTURE)])
def test_completes(temperature, likelihood):
    """Known pixels stay, methods agree, and candidates have weights."""
    model = make("by_hand", likelihood)
    images = model.generate(4, seed=50)
    known = np.zeros((3, 4))
    known[0], known[2, 1:] = 1, 1
    options = {"seed": 9, "num_candidates": 3, "temperature": temperature}
    completed, sizes = model.complete(
        images, known, return_effective_sample_size=True, **options
    )
    np.testing.assert_array_equal(completed[:, known > 0], images[:, known > 0])
    assert (completed != images).any()
    for method in ("ancestral", "fixed_point"):
        again = model.complete(images, known, method=method, **options)
        np.testing.assert_array_equal(again, completed)
    assert ((sizes >= 1) & (sizes <= 3)).all() and (sizes < 2.99).any()


@slow
def test_draw():
    model = DRAW(SHAPE, 2, 6, 3, 2, 2, likelihood=MIXTURE)
    pixels = model.generate(4, seed=0, sample_pixels=True)
    assert pixels.shape == (4, *SHAPE) and pixels.dtype == np.uint8
    assert np.isfinite(model.log_prob(pixels, num_samples=2, seed=0)).all()
    mean = model.generate(4, seed=0)
    assert ((mean > 0) & (mean < 4)).all()
