"""Likelihoods that couple the colors of a pixel, in all methods of models."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality import assert_causal, first_leak, influence, is_causal
from keras_genimg.layers import MaskedConv2D
from keras_genimg.likelihoods import DiscretizedLogisticMixture
from keras_genimg.models import DRAW, VAE, AutoregressiveModel, PixelCNN, PixelRNN
from keras_genimg.networks import likelihood_head
from keras_genimg.serving import write_saved_model
from tests.likelihoods.coupled import PixelTable
from tests.sampling.drawn import TIE, assert_ancestral
from tests.sampling.forced import assert_sampled_as_computed, random_images

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
    "cnn": lambda shape, p, **o: PixelCNN(shape, 3, 1, likelihood=p, **SIZES, **o),
    "row": lambda shape, p: PixelRNN(
        shape, 3, 1, "row", num_classes=2, likelihood=p, **SIZES
    ),
    "diagonal": lambda shape, p: PixelRNN(shape, 4, 1, likelihood=p, **SIZES),
    "by_hand": by_hand,
}


def make(name, likelihood, shape=SHAPE, spread=3, **options):
    keras.utils.set_random_seed(3)
    model = MODELS[name](shape, likelihood, **options)
    model.set_weights([spread * w for w in model.get_weights()])  # Away from uniform.
    return model


def with_labels(model, images):
    if len(model.inputs) == 1:
        return images
    return {"images": images, "label": np.arange(len(images)) % 2}


def every_image(num_values, shape):
    pixels = itertools.product(range(num_values), repeat=int(np.prod(shape)))
    return np.array(list(pixels), "uint8").reshape(-1, *shape)


@pytest.mark.parametrize(
    "name, likelihood, shape",
    [
        ("cnn", DiscretizedLogisticMixture(3, 2), (1, 2, 3)),
        ("diagonal", DiscretizedLogisticMixture(4, 2), (2, 3, 1)),
        pytest.param("row", TABLE, (1, 2, 3), marks=slow),
    ],
    ids=str,
)
def test_probabilities_of_all_images_sum_to_1(name, likelihood, shape):
    model = make(name, likelihood, shape)
    images = every_image(likelihood.num_values, shape)
    x = with_labels(model, images)
    if isinstance(x, dict):
        x["label"] = np.ones(len(images), "int32")
    nats = model.log_prob(x, batch_size=1024).astype("float64")
    np.testing.assert_allclose(np.exp(nats).sum(), 1, rtol=1e-5)
    assert nats.std() > 0.3


@slow
@pytest.mark.parametrize(
    "name, shape, likelihood",
    [
        ("cnn", SHAPE, TABLE),
        ("cnn", (3, 4, 2), MIXTURE),
        ("row", SHAPE, MIXTURE),
        ("diagonal", SHAPE, TABLE),
        ("by_hand", SHAPE, MIXTURE),
    ],
    ids=str,
)
def test_draws_from_the_parameters_of_the_forward_pass(name, shape, likelihood):
    model = make(name, likelihood, shape)
    conditions = [0, 1, 1, 0, 1] if len(model.inputs) > 1 else None
    assert_sampled_as_computed(model, 5, conditions)
    drawn = model.generate(5, seed=0, conditions=conditions)
    assert drawn.dtype == np.uint8 and len(np.unique(drawn)) >= 3
    assert_ancestral(model, drawn, conditions, slack=SLACK[likelihood])


@slow
@pytest.mark.parametrize(
    "options, likelihood",
    [
        ({"method": "ancestral"}, TABLE),
        ({"method": "fixed_point"}, MIXTURE),
        ({"method": "incremental", "jit_compile": True}, MIXTURE),
        ({"method": "fixed_point", "jit_compile": True}, TABLE),
    ],
    ids=str,
)
def test_samplers_draw_the_same_images(options, likelihood):
    model = make("by_hand", likelihood)
    for temperature in (1.0, 0.5):
        drawn = model.generate(5, seed=0, temperature=temperature, **options)
        expected = model.generate(5, seed=0, temperature=temperature)
        np.testing.assert_array_equal(drawn, expected)
        slack = SLACK[likelihood]
        assert_ancestral(model, drawn, temperature=temperature, slack=slack)


@pytest.mark.slow
def test_one_evaluation_a_pixel(monkeypatch):
    shapes, sample = [], DiscretizedLogisticMixture.sample

    def recorded(self, params, uniforms, temperature=1.0):
        shapes.append((params.shape[1:], uniforms.shape[1:]))
        return sample(self, params, uniforms, temperature)

    monkeypatch.setattr(DiscretizedLogisticMixture, "sample", recorded)
    model = make("diagonal", MIXTURE)
    model.generate(1, seed=0)
    # Traced once, for a pixel with all of its colors.
    assert shapes == [((20,), (3,))]
    shapes.clear()
    tf.config.run_functions_eagerly(True)
    try:
        draw = model._drawer.from_seeds("ancestral", SHAPE)
        draw(tf.constant([5]), 1.0)
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(shapes) == 12


@slow
@pytest.mark.parametrize("name, likelihood", [("cnn", TABLE), ("diagonal", MIXTURE)])
def test_no_feature_of_a_pixel_sees_its_colors(name, likelihood):
    model = make(name, likelihood)
    report = assert_causal(model, randomize=True)
    assert "no pixel sees itself" in str(report)
    assert report.num_past == 12 * 11 // 2
    assert report.missing.shape[1] == 4
    seen = influence(model, randomize=True)
    assert seen.shape == (3, 4, 3, 4)
    assert seen[0, 0, 0, 1] and not seen[0, 0, 0, 0]


@slow
def test_a_network_that_knows_the_colors_leaks():
    model = by_hand(SHAPE, TABLE, num_colors=3)
    assert is_causal(by_hand(SHAPE, TABLE))
    leak = first_leak(model)
    assert (leak.kind, len(leak.changed)) == ("itself", 2)
    assert leak.layer == "MaskedConv2D 'guilty'"
    assert "masked layers need num_colors=1" in str(leak)
    with pytest.raises(AssertionError, match="Changing pixel .*need num_colors=1"):
        assert_causal(model, randomize=True)
    with pytest.raises(ValueError, match="not causal.*num_colors=1"):
        model.generate(1)


@slow
@pytest.mark.parametrize(
    "name, likelihood, options",
    [("row", TABLE, {}), ("cnn", MIXTURE, {"dtype": "mixed_bfloat16"})],
    ids=str,
)
def test_learns_and_loads(name, likelihood, options, tmp_path):
    model = make(name, likelihood, spread=1, **options)
    x = with_labels(model, random_images(model, 6).numpy())
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    losses = model.fit(x, batch_size=3, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    revived = keras.models.load_model(tmp_path / "model.keras")
    assert revived.likelihood == likelihood
    np.testing.assert_array_equal(revived.log_prob(x), model.log_prob(x))


@pytest.mark.parametrize("model_class, num_colors", [(PixelCNN, 3), (PixelRNN, 1)])
def test_untrained_models_of_a_mixture_are_about_uniform(model_class, num_colors):
    shape = (8, 8, num_colors)
    x = np.random.default_rng(0).integers(256, size=(8, *shape)).astype("uint8")
    model = model_class(shape, 8, 2, likelihood="logistic_mixture")
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
def test_endpoints_compute_what_the_methods_do(tmp_path):
    model = make("by_hand", MIXTURE)
    endpoints = model.endpoints(SHAPE, num_candidates=2)
    names = ("sample", "log_prob", "check_sampler", "complete")
    endpoints = {name: endpoints[name] for name in names}
    path = tmp_path / "1"
    write_saved_model(model, path, endpoints, max_examples=8, verbose=False)
    served = tf.saved_model.load(path).signatures
    drawn = model.generate(2, seed=4)
    images = model.likelihood.to_display(drawn)
    seed = tf.constant([4, 5], tf.int64)
    np.testing.assert_array_equal(served["sample"](seed=seed)["images"], images)
    shown = tf.constant(images, tf.int32)
    nats = served["log_prob"](images=shown)["log_prob"]
    np.testing.assert_allclose(nats, model.log_prob(drawn), rtol=1e-5)
    difference = served["check_sampler"](images=shown)["largest_difference"]
    assert np.max(difference) < 1e-4
    known = np.zeros((2, 3, 4), "int32")
    known[:, 1] = 1
    completed = served["complete"](images=shown, known=tf.constant(known), seed=seed)
    expected = model.complete(drawn, known, seed=4, num_candidates=2)
    np.testing.assert_array_equal(
        completed["images"], model.likelihood.to_display(expected)
    )


@slow
@pytest.mark.parametrize(
    "make_model",
    [
        lambda: VAE(SHAPE, 2, 6, MIXTURE),
        lambda: DRAW(SHAPE, 2, 6, 3, 2, 2, likelihood=MIXTURE),
    ],
    ids=["vae", "draw"],
)
def test_latent_models(make_model):
    model = make_model()
    model.compile("adam", run_eagerly=True)
    images = np.random.default_rng(0).integers(5, size=(4, *SHAPE)).astype("uint8")
    model.fit(images, verbose=0)
    assert model(images).shape == (4, 3, 4, 20)
    log_prob = model.log_prob(images, num_samples=2, seed=0)
    assert log_prob.shape == (4,) and np.isfinite(log_prob).all()
    mean = model.generate(2, seed=0)
    assert mean.shape == (2, *SHAPE)
    assert ((mean > 0) & (mean < 4)).all()
    pixels = model.generate(2, seed=0, sample_pixels=True)
    assert pixels.shape == (2, *SHAPE) and pixels.dtype == np.uint8
