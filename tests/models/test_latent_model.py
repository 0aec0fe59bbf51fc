"""Bounds, images and arguments of all models with latent variables."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality.random_weights import randomize
from keras_genimg.latents import DiagonalNormal
from keras_genimg.likelihoods import Bernoulli
from keras_genimg.models import DRAW, VAE
from keras_genimg.ops.uniforms import POSTERIOR
from tests.by_chance import check_intensities, check_means
from tests.seldom import slow_but

KINDS = ("full_normal", "draw")


@pytest.fixture(scope="module")
def models():
    """Return models with large random weights, by name."""
    options = {"posterior": "full_normal", "estimator": "monte_carlo"}
    models = {
        "vae": VAE((28, 28, 1), 5, 100),
        "full_normal": VAE((4, 3, 1), 3, 8, **options),
        "draw": DRAW((5, 7, 1), 3, 6, 4, 3, 2),
    }
    for model in models.values():
        randomize(model, seed=1)
    return models


@pytest.fixture(params=KINDS)
def model(models, request):
    return models[request.param]


def images_for(model, count):
    generator = np.random.default_rng(0)
    return generator.integers(2, size=(count, *model.image_shape)).astype("uint8")


CASES = [
    *(("full_normal", method) for method in ("log_prob", "elbo", "reconstruct")),
    *(("vae", "log_prob"), ("draw", "log_prob")),
]


@pytest.mark.parametrize("each", slow_but(CASES, *CASES[:3]), ids="-".join)
def test_batches_and_data_sets_make_no_difference(models, each):
    kind, method = each
    model = models[kind]
    x = images_for(model, 30)
    run = getattr(model, method)
    expected = run(x, seed=3)
    assert (len(expected), expected.dtype) == (30, np.float32)
    assert len(np.unique(expected)) > 25
    data = tf.data.Dataset.from_tensor_slices(x).batch(17)
    empty = tf.data.Dataset.from_tensors(x[:0])
    # That of `log_prob` is the same to the last bit.
    tolerance = 0 if method == "log_prob" else 1e-5
    for images, options in [
        *((x, {"batch_size": size}) for size in (1, 7, 16)),
        (x.astype("float32"), {"verbose": 0}),
        (data, {}),
        (data.concatenate(empty), {}),
    ]:
        found = run(images, seed=3, **options)
        np.testing.assert_allclose(found, expected, tolerance)
    # Each image has one seed.
    np.testing.assert_allclose(run(x[21:], seed=3 + 21), expected[21:], tolerance)
    assert (run(x, seed=4) != expected).any()


@pytest.mark.parametrize(
    "kind, method", [("full_normal", "log_prob"), ("draw", "bits_per_dim")]
)
def test_a_hundred_samples_and_a_random_seed_by_default(models, kind, method):
    model = models[kind]
    x = images_for(model, 3)
    run = getattr(model, method)
    np.testing.assert_array_equal(run(x, seed=4), run(x, num_samples=100, seed=4))
    assert (run(x, num_samples=99, seed=4) != run(x, seed=4)).any()
    drawn = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        drawn.append([run(x, num_samples=2), run(x, num_samples=2)])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0][0] != drawn[0][1]).any()


def test_bounds_are_means_over_the_samples(model):
    x = images_for(model, 3)
    seeds = tf.range(9, 12, dtype=tf.int64)
    infer = tf.function(lambda k: model.infer(x)(seeds, POSTERIOR + k), autograph=False)
    samples = [infer(tf.constant(k)) for k in range(250)]
    nats, log_ratio, kl = (
        np.array([getattr(sample, name) for sample in samples], "float64")
        for name in ("log_likelihood", "log_ratio", "kl")
    )
    for num_samples in (1, 7, 100, 101, 250):
        log_weights = (nats + log_ratio)[:num_samples]
        np.testing.assert_allclose(
            model.log_prob(x, num_samples=num_samples, seed=9),
            np.logaddexp.reduce(log_weights) - np.log(num_samples),
            rtol=1e-5,
        )
    elbo = model.elbo(x, num_samples=7, seed=9)
    np.testing.assert_allclose(elbo, (nats - kl)[:7].mean(axis=0), rtol=1e-5)
    bits = -model.log_prob(x, seed=3) / np.prod(model.image_shape) / np.log(2)
    np.testing.assert_allclose(model.bits_per_dim(x, seed=3), bits, rtol=1e-5)


@pytest.mark.parametrize("name", ["vae", "draw"])  # These have a closed form.
def test_the_divergence_is_the_mean_of_what_estimates_it(models, name):
    model, copies = models[name], 4000
    x = images_for(model, 3)
    infer = tf.function(model.infer(x, copies=copies), autograph=False)
    sample = infer(tf.range(3 * copies, dtype=tf.int64), POSTERIOR)
    errors = np.reshape(sample.log_ratio + sample.kl, (3, copies)).T
    check_means(errors, 0, errors.std(axis=0))


def test_functions_may_run_eagerly(models, request):
    model = models["full_normal"]
    x, options = images_for(model, 2), {"num_samples": 3, "seed": 0}
    expected = model.log_prob(x, **options), model.elbo(x, **options)
    request.addfinalizer(lambda: tf.config.run_functions_eagerly(False))
    tf.config.run_functions_eagerly(True)
    found = model.log_prob(x, **options), model.elbo(x, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_copies_of_an_image_are_independent(models):
    model = models["draw"]
    x = images_for(model, 2)
    seeds = tf.constant([1, 2, 3, 4, 5, 6], tf.int64)
    streams = POSTERIOR + tf.constant([0, 1, 2, 0, 1, 2])
    copies = model.infer(x, copies=3)(seeds, streams)
    for i in range(6):
        image = x[i // 3][None]
        alone = model.infer(image)(seeds[i : i + 1], streams[i])
        for part, expected in zip(copies, alone, strict=True):
            np.testing.assert_allclose(part[i], expected[0], rtol=1e-4, atol=1e-5)


def test_an_image_depends_on_its_seed_alone(model):
    drawn = model.generate(4, seed=10)
    assert (drawn.shape, drawn.dtype) == ((4, *model.image_shape), np.float32)
    assert 0 <= drawn.min() < drawn.max() <= 1
    assert len(np.unique(drawn, axis=0)) == 4
    np.testing.assert_allclose(model.generate(1, seed=12), drawn[2:3], atol=1e-6)
    chosen = model.generate(3, seed=[13, 10, 11], batch_size=2)
    np.testing.assert_allclose(chosen, drawn[[3, 0, 1]], atol=1e-6)
    compiled = model.generate(4, seed=10, jit_compile=True)
    np.testing.assert_allclose(compiled, drawn, atol=1e-5)


def test_pixels_are_drawn_from_the_means(model):
    pixels = model.generate(1000, seed=10, sample_pixels=True)
    assert pixels.dtype == np.uint8 and set(np.unique(pixels)) == {0, 1}
    check_intensities(pixels, model.generate(1000, seed=10))
    x = images_for(model, 1000)
    pixels = model.reconstruct(x, seed=2, sample_pixels=True)
    assert pixels.dtype == np.uint8 and set(np.unique(pixels)) == {0, 1}
    check_intensities(pixels, model.reconstruct(x, seed=2))


def test_drawing_touches_no_weight_of_the_encoder(model):
    if isinstance(model, VAE):
        encoder = [*model.encoder.weights, *model.latent.weights]
    else:
        cell = model.loop.cell
        encoder = [*cell.read.weights, *cell.encoder.weights]
        encoder += [*cell.posterior_params.weights, *cell.initial[1:3]]
    before = model.generate(3, seed=4)
    weights = model.get_weights()
    for weight in encoder:
        weight.assign(tf.fill(weight.shape, np.nan))
    after = model.generate(3, seed=4)
    assert np.isnan(model.elbo(images_for(model, 3), seed=0)).all()
    model.set_weights(weights)
    np.testing.assert_array_equal(after, before)


def test_presets():
    for name, preset in VAE.presets.items():
        model = VAE.from_preset(name, hidden_units=2)
        assert model.latent_dim == preset.config["latent_dim"]
        # Heads as in the paper.
        scale = "log_variance" if name in ("mnist", "frey_face") else "log_stddev"
        assert model.latent.posterior == DiagonalNormal(scale)
    table = {
        "mnist": {
            "image_shape": (28, 28, 1),
            "num_glimpses": 64,
            "units": 256,
            "latent_dim": 100,
            "read_size": 2,
            "write_size": 5,
        },
        "svhn": {
            "image_shape": (54, 54, 3),
            "num_glimpses": 32,
            "units": 800,
            "latent_dim": 100,
            "read_size": 12,
            "write_size": 12,
        },
        "cifar10": {
            "image_shape": (32, 32, 3),
            "num_glimpses": 64,
            "units": 400,
            "latent_dim": 200,
            "read_size": 5,
            "write_size": 5,
        },
    }
    for name, expected in table.items():
        config = DRAW.presets[name].config
        assert {key: config[key] for key in expected} == expected
        likelihood = config.get("likelihood", Bernoulli())
        assert likelihood == Bernoulli(intensities=name != "mnist")
    model = DRAW.from_preset("cifar10", num_glimpses=2, units=4)
    assert model.generate(1, seed=0).shape == (1, 32, 32, 3)


@pytest.mark.parametrize(
    "call, arguments, text",
    [
        ("elbo", {"num_samples": 0}, "Received: num_samples=0"),
        ("log_prob", {"num_samples": 2.5}, "Received: num_samples=2.5"),
        ("elbo", {"seed": -1}, "Received: seed=-1"),
        ("elbo", {"seed": [1, 2]}, r"that of the first image. Received: seed=\[1, 2\]"),
        ("reconstruct", {"seed": 2**62 - 2}, "too large for the number of images"),
        ("reconstruct", {"batch_size": 0}, "Received: batch_size=0"),
    ],
)
def test_arguments_that_do_not_fit(models, call, arguments, text):
    model = models["full_normal"]
    with pytest.raises(ValueError, match=f"(?s){text}"):
        getattr(model, call)(images_for(model, 4), **arguments)
    with pytest.raises(ValueError, match="Received: num_images=0"):
        model.generate(0)
