"""A likelihood that couples the colors of a pixel, in all methods of models."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality import assert_causal, first_leak, influence, is_causal
from keras_genimg.causality.proof import sampler_difference
from keras_genimg.drawing.functions import pixel_sampler
from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import DRAW, VAE, AutoregressiveModel, PixelCNN, PixelRNN
from keras_genimg.networks import likelihood_head
from keras_genimg.sampling import ancestral_sampler
from tests.likelihoods.coupled import Chain
from tests.likelihoods.coupled_checks import (
    SHAPE,
    check_completes,
    check_exported,
    check_latent_model,
    traced_shapes,
)
from tests.sampling.drawn import assert_ancestral
from tests.sampling.forced import assert_sampled_as_computed, random_images

pytestmark = pytest.mark.slow

SIZES = {"head_filters": 6, "first_kernel_size": 3, "likelihood": Chain(3)}


def by_hand(image_shape=SHAPE, num_colors=1, likelihood=SIZES["likelihood"]):
    images = keras.Input(image_shape)
    x = MaskedConv2D(6, 3, "A", num_colors, name="guilty")(images)
    x = keras.layers.Activation("tanh")(x)
    return AutoregressiveModel(images, likelihood_head(x, likelihood, 3), likelihood)


MODELS = {
    "cnn": lambda shape=SHAPE: PixelCNN(shape, 2, 1, **SIZES),
    "row": lambda shape=SHAPE: PixelRNN(shape, 2, 1, "row", num_classes=2, **SIZES),
    "diagonal": lambda shape=SHAPE: PixelRNN(shape, 4, 1, **SIZES),
    "by_hand": by_hand,
}


def make(name, *args):
    keras.utils.set_random_seed(3)
    model = MODELS[name](*args)
    model.set_weights([3 * w for w in model.get_weights()])  # Away from uniform.
    return model


def with_labels(model, images):
    if len(model.inputs) == 1:
        return images
    return {"images": images, "label": np.arange(len(images)) % 2}


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_of_all_images_sum_to_1(name):
    model = make(name, (1, 2, 3))
    every = np.array(list(itertools.product(range(3), repeat=6)), "uint8")
    x = every.reshape(-1, 1, 2, 3)
    if len(model.inputs) > 1:
        x = {"images": x, "label": np.ones(len(x), "int32")}
    nats = model.log_prob(x, batch_size=729).astype("float64")
    np.testing.assert_allclose(np.exp(nats).sum(), 1, rtol=1e-5)
    assert nats.std() > 0.3


@pytest.mark.parametrize("name", MODELS)
def test_draws_from_the_parameters_of_the_forward_pass(name):
    model = make(name)
    conditions = [0, 1, 1, 0, 1] if len(model.inputs) > 1 else None
    assert_sampled_as_computed(model, 5, conditions)
    drawn = model.generate(5, seed=0, conditions=conditions)
    assert len(np.unique(drawn)) == 3
    assert_ancestral(model, drawn, conditions)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "incremental"},
        {"method": "ancestral"},
        {"method": "fixed_point"},
        {"method": "incremental", "jit_compile": True},
    ],
    ids=str,
)
def test_samplers_draw_the_same_images(options):
    model = make("by_hand")
    for temperature in (1.0, 0.5):
        drawn = model.generate(5, seed=0, temperature=temperature, **options)
        assert_ancestral(model, drawn, temperature=temperature)


def test_samples_follow_the_model():
    model = make("cnn", (1, 2, 3))
    every = np.array(list(itertools.product(range(3), repeat=6)), "uint8")
    nats = model.log_prob(every.reshape(-1, 1, 2, 3), batch_size=729)
    drawn = model.generate(3000, seed=0, batch_size=3000).reshape(-1, 6)
    index = drawn @ 3 ** np.arange(5, -1, -1)
    found = np.bincount(index, minlength=729) / len(drawn)
    expected = np.exp(nats.astype("float64"))
    # Each bin within five standard deviations, with one draw to spare.
    error = np.sqrt(expected / len(drawn))
    assert (abs(found - expected) < 5 * error + 1 / len(drawn)).all()


def test_one_evaluation_a_pixel(monkeypatch):
    calls = traced_shapes(monkeypatch, Chain)
    model = make("diagonal")
    model.generate(1, seed=0)
    # Traced once, for a pixel with all of its colors.
    assert calls == [((39,), (3,))]
    note, _ = model._drawer.cost("ancestral", model.image_shape)
    assert note == "12 forward passes per batch"
    model.run_eagerly = True
    calls.clear()
    tf.config.run_functions_eagerly(True)
    try:
        pixel_sampler(ancestral_sampler(model), SHAPE)(tf.constant([5]), 1.0)
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(calls) == 12


@pytest.mark.parametrize("name", ["cnn", "diagonal"])
def test_no_feature_of_a_pixel_sees_its_colors(name):
    model = MODELS[name]()
    report = assert_causal(model, randomize=True)
    assert "no pixel sees itself" in str(report)
    assert report.num_past == 12 * 11 // 2
    assert report.missing.shape[1] == 4
    seen = influence(model, randomize=True)
    assert seen.shape == (3, 4, 3, 4)
    assert seen[0, 0, 0, 1] and not seen[0, 0, 0, 0]


def test_a_network_that_knows_the_colors_leaks():
    model = by_hand(num_colors=3)
    assert is_causal(by_hand())
    leak = first_leak(model)
    assert (leak.kind, len(leak.changed)) == ("itself", 2)
    assert leak.layer == "MaskedConv2D 'guilty'"
    assert "masked layers need num_colors=1" in str(leak)
    with pytest.raises(AssertionError, match="Changing pixel .*need num_colors=1"):
        assert_causal(model, randomize=True)
    with pytest.raises(ValueError, match="not causal.*num_colors=1"):
        model.generate(1)


@pytest.mark.parametrize("name", ["cnn", "row"])
def test_trains_and_loads(name, tmp_path):
    model = make(name)
    images = random_images(model, 6).numpy()
    x = with_labels(model, images)
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    history = model.fit(x, batch_size=3, epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    nats, bits = model.evaluate(x, verbose=0)
    log_prob = model.log_prob(x)
    np.testing.assert_allclose(nats, -log_prob.mean(), rtol=1e-5)
    np.testing.assert_allclose(bits, nats / 36 / np.log(2), rtol=1e-5)
    model.save(tmp_path / "model.keras")
    revived = keras.models.load_model(tmp_path / "model.keras")
    assert revived.likelihood == model.likelihood
    np.testing.assert_array_equal(revived.log_prob(x), log_prob)
    conditions = [1, 0] if name == "row" else None
    np.testing.assert_array_equal(
        revived.generate(2, seed=1, conditions=conditions),
        model.generate(2, seed=1, conditions=conditions),
    )


def test_completes():
    check_completes(make("by_hand"))


def test_export_draws_and_checks_the_same(tmp_path):
    check_exported(make("by_hand"), tmp_path / "1")


def test_the_check_of_the_sampler_sees_a_fault():
    """A causal layer whose step is not its call is found in a coupled model too."""

    class Faulty(MaskedConv2D):
        def step(self, weights, carry, row, inputs):
            outputs, *rest = super().step(weights, carry, row, inputs)
            return 1.1 * outputs, *rest

    images = keras.Input(SHAPE)
    likelihood = Chain(3)
    x = Faulty(6, 3, "A")(images)
    model = AutoregressiveModel(images, likelihood_head(x, likelihood, 3), likelihood)
    assert np.max(sampler_difference(model, random_images(model))) > 1e-3
    with pytest.raises(ValueError, match="first layer that disagrees is Faulty"):
        model.generate(1, seed=0)


@pytest.mark.parametrize(
    "make_model",
    [
        lambda: VAE(SHAPE, 2, 6, Chain(3)),
        lambda: DRAW(SHAPE, 2, 6, 3, 2, 2, likelihood=Chain(3)),
    ],
    ids=["vae", "draw"],
)
def test_latent_models(make_model):
    check_latent_model(make_model(), num_params=39)


def test_mean_by_enumeration():
    likelihood = Chain(2)
    params = np.random.default_rng(0).normal(size=(1, 1, 1, 14)).astype("float32")
    every = np.array(list(itertools.product(range(2), repeat=3)), "float32")
    p = np.exp([likelihood.log_prob(params, x.reshape(1, 1, 1, 3)) for x in every])
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-5)
    expected = (p.reshape(-1, 1) * every).sum(axis=0)
    mean = likelihood.mean(params)
    np.testing.assert_allclose(mean[0, 0, 0], expected, rtol=1e-5)
