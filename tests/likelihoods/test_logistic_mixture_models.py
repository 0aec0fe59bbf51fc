"""Models with a `DiscretizedLogisticMixture`."""

import itertools

import keras
import numpy as np
import pytest

from keras_genimg.causality import assert_causal
from keras_genimg.layers import MaskedConv2D
from keras_genimg.likelihoods import DiscretizedLogisticMixture
from keras_genimg.models import DRAW, VAE, AutoregressiveModel, PixelCNN, PixelRNN
from keras_genimg.networks import likelihood_head
from tests.likelihoods.coupled_checks import (
    SHAPE,
    check_completes,
    check_exported,
    check_latent_model,
    traced_shapes,
)
from tests.sampling.drawn import TIE, assert_ancestral
from tests.sampling.forced import assert_sampled_as_computed, random_images
from tests.weekly import weekly_but

MIXTURE = DiscretizedLogisticMixture(5, 2)
SIZES = {"head_filters": 6, "first_kernel_size": 3, "likelihood": MIXTURE}


def make(model_class=PixelCNN, shape=SHAPE, spread=3, **options):
    keras.utils.set_random_seed(3)
    model = model_class(shape, 3, 1, **{**SIZES, **options})
    # Away from uniform.
    model.set_weights([spread * w for w in model.get_weights()])
    return model


def by_hand():
    keras.utils.set_random_seed(1)
    images = keras.Input(SHAPE)
    x = MaskedConv2D(6, 3, "A")(images)
    x = keras.layers.Activation("tanh")(x)
    model = AutoregressiveModel(images, likelihood_head(x, MIXTURE, 3), MIXTURE)
    model.set_weights([3 * w for w in model.get_weights()])
    return model


@pytest.mark.parametrize("model_class", [PixelCNN, PixelRNN])
@pytest.mark.parametrize("num_values, shape", [(3, (1, 2, 3)), (4, (2, 3, 1))])
def test_probabilities_of_all_images_sum_to_1(model_class, num_values, shape):
    likelihood = DiscretizedLogisticMixture(num_values, 2)
    model = make(model_class, shape, likelihood=likelihood)
    size = int(np.prod(shape))
    every = np.array(list(itertools.product(range(num_values), repeat=size)), "uint8")
    nats = model.log_prob(every.reshape(-1, *shape), batch_size=1024)
    nats = nats.astype("float64")
    np.testing.assert_allclose(np.exp(nats).sum(), 1, rtol=1e-5)
    assert nats.std() > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("model_class", [PixelCNN, PixelRNN])
@pytest.mark.parametrize("num_colors", [1, 2, 3])
def test_draws_from_the_parameters_of_the_forward_pass(model_class, num_colors):
    model = make(model_class, (3, 4, num_colors))
    assert_sampled_as_computed(model, 5)
    drawn = model.generate(5, seed=0)
    assert drawn.dtype == np.uint8 and len(np.unique(drawn)) > 3
    assert_ancestral(model, drawn, slack=TIE)
    assert_causal(model, randomize=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"method": "incremental"},
        {"method": "ancestral"},
        {"method": "fixed_point"},
        {"method": "incremental", "jit_compile": True},
        {"method": "fixed_point", "jit_compile": True},
    ],
    ids=str,
)
def test_samplers_draw_the_same_images(options):
    model = by_hand()
    for temperature in (1.0, 0.5):
        drawn = model.generate(5, seed=0, temperature=temperature, **options)
        expected = model.generate(5, seed=0, temperature=temperature)
        np.testing.assert_array_equal(drawn, expected)
        assert_ancestral(model, drawn, temperature=temperature, slack=TIE)


def test_one_evaluation_a_pixel(monkeypatch):
    calls = traced_shapes(monkeypatch, DiscretizedLogisticMixture)
    model = make(PixelRNN)
    model.generate(1, seed=0)
    assert calls == [((20,), (3,))]
    note, _ = model._drawer.cost("ancestral", model.image_shape)
    assert note == "12 forward passes per batch"


@pytest.mark.slow
@pytest.mark.parametrize(
    "model_class, shape, dtype",
    [
        (PixelCNN, SHAPE, None),
        (PixelRNN, (3, 4, 1), None),
        (PixelCNN, SHAPE, "mixed_bfloat16"),
        pytest.param(PixelCNN, SHAPE, "mixed_float16", marks=pytest.mark.weekly),
    ],
)
def test_trains_and_loads(model_class, shape, dtype, tmp_path):
    model = make(model_class, shape, spread=1, dtype=dtype)
    images = random_images(model, 6).numpy()
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    history = model.fit(images, batch_size=3, epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert model(images).dtype == "float32"
    nats, bits = model.evaluate(images, verbose=0)
    log_prob = model.log_prob(images)
    # Half precision rounds differently in graphs.
    rtol = 1e-5 if dtype is None else 1e-3
    np.testing.assert_allclose(nats, -log_prob.mean(), rtol=rtol)
    np.testing.assert_allclose(bits, nats / np.prod(shape) / np.log(2), rtol=1e-5)
    model.save(tmp_path / "model.keras")
    revived = keras.models.load_model(tmp_path / "model.keras")
    assert revived.likelihood == model.likelihood
    np.testing.assert_array_equal(revived.log_prob(images), log_prob)
    np.testing.assert_array_equal(
        revived.generate(2, seed=1), model.generate(2, seed=1)
    )


@pytest.mark.parametrize("model_class", [PixelCNN, PixelRNN])
@pytest.mark.parametrize("num_colors", [1, 3])
def test_untrained_models_are_about_uniform(model_class, num_colors):
    shape = (12, 12, num_colors)
    x = np.random.default_rng(0).integers(256, size=(8, *shape)).astype("uint8")
    model = model_class(shape, 8, 2, likelihood="logistic_mixture")
    nats = -model.log_prob(x).mean()
    assert abs(nats / (np.prod(shape) * np.log(256)) - 1) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("temperature", weekly_but([1.0, 0.5], 0.5))
def test_completes(temperature):
    check_completes(by_hand(), temperature)


@pytest.mark.slow
def test_export_draws_and_checks_the_same(tmp_path):
    check_exported(by_hand(), tmp_path / "1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "make_model",
    [
        lambda: VAE(SHAPE, 2, 6, MIXTURE),
        lambda: DRAW(SHAPE, 2, 6, 3, 2, 2, likelihood=MIXTURE),
    ],
    ids=["vae", "draw"],
)
def test_latent_models(make_model):
    check_latent_model(make_model(), num_params=20)
