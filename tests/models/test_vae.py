import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.latents import DiagonalNormal
from keras_genimg.likelihoods import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    Gaussian,
)
from keras_genimg.models import VAE
from tests.seldom import slow_but

SHAPE = (4, 3, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(20, *SHAPE)).astype("uint8")
IMAGES[:, 0] = 1
INTENSITIES = np.random.default_rng(1).uniform(size=(20, *SHAPE)).astype("float32")


def dataset(images, size):
    return tf.data.Dataset.from_tensor_slices(images).batch(size)


@pytest.fixture(scope="module")
def model():
    """Return a trained model with two latent dimensions."""
    keras.utils.set_random_seed(0)
    model = VAE(SHAPE, 2, hidden_units=8)
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(IMAGES, batch_size=10, epochs=15, validation_data=IMAGES, verbose=0)
    return model


def test_training_and_evaluation_are_of_the_bound(model):
    history = model.history.history
    assert history["loss"][-1] < history["loss"][0] - 1
    assert (np.array(history["kl"]) >= 0).all()
    elbo = model.elbo(IMAGES, num_samples=500, seed=0).mean()
    logs = model.evaluate(IMAGES, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["elbo"], elbo, atol=1)
    np.testing.assert_allclose(history["val_elbo"][-1], elbo, atol=1)


def test_bounds_by_hand(model):
    """Compute the bounds in float64 from the outputs of the parts."""
    mean, stddev = (part.astype("float64") for part in model.encode(IMAGES))
    squares = mean**2 + stddev**2
    kl = (squares - 2 * np.log(stddev) - 1).sum(axis=1) / 2
    reconstructed = model.reconstruct(IMAGES, seed=9).astype("float64")
    p = np.where(IMAGES == 1, reconstructed, 1 - reconstructed)
    expected = np.log(p).sum(axis=(1, 2, 3)) - kl
    np.testing.assert_allclose(model.elbo(IMAGES, seed=9), expected, rtol=1e-4)


def test_both_bounds_are_the_same_for_one_sample():
    model = VAE(SHAPE, 3, 4, estimator="monte_carlo", weight_stddev=0.4)
    one = model.log_prob(IMAGES, num_samples=1, seed=0)
    np.testing.assert_allclose(one, model.elbo(IMAGES, seed=0), rtol=1e-5)


# `test_log_prob.py` has the third method.
@pytest.mark.parametrize("method", ["elbo", "reconstruct"])
def test_batches_and_data_sets_make_no_difference(model, method):
    call = getattr(model, method)
    expected = call(IMAGES, seed=4)
    assert (len(expected), expected.dtype) == (20, np.float32)
    empty = tf.data.Dataset.from_tensors(IMAGES[:0])
    for images, options in [
        (IMAGES, {"batch_size": 7}),
        (IMAGES.astype("float32"), {"verbose": 0}),
        (dataset(IMAGES, 6), {}),
        (dataset(IMAGES, 6).concatenate(empty), {}),
    ]:
        np.testing.assert_allclose(call(images, seed=4, **options), expected, rtol=1e-5)
    last = call(IMAGES[15:], seed=4 + 15)
    np.testing.assert_allclose(last, expected[15:], rtol=1e-5)
    assert (call(IMAGES, seed=5) != expected).any()
    assert (call(IMAGES) != call(IMAGES)).any()


def test_bits_per_dim(model):
    bits = -model.log_prob(IMAGES, seed=3) / 12 / np.log(2)
    np.testing.assert_allclose(model.bits_per_dim(IMAGES, seed=3), bits, rtol=1e-5)


def test_encode_and_decode(model):
    mean, stddev = model.encode(IMAGES, batch_size=8)
    assert mean.shape == stddev.shape == (20, 2)
    params = np.asarray(model.latent.parameters(model.encoder(IMAGES)))
    np.testing.assert_allclose(mean, params[:, :2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(stddev, np.exp(params[:, 2:]), rtol=1e-5)
    again = model.encode(dataset(IMAGES, 9))
    np.testing.assert_allclose(again, (mean, stddev), rtol=1e-5, atol=1e-6)
    decoded = model.decode(mean, batch_size=6)
    logits = np.asarray(model.decoder(mean), "float64")
    np.testing.assert_allclose(decoded, 1 / (1 + np.exp(-logits)), rtol=1e-4)
    assert (decoded.shape, decoded.dtype) == ((20, *SHAPE), np.float32)


def test_reconstruction(model):
    pixels = model.reconstruct(IMAGES, seed=2, sample_pixels=True)
    assert (pixels.shape, pixels.dtype) == (IMAGES.shape, np.uint8)
    assert set(np.unique(pixels)) <= {0, 1}
    assert pixels[:, 0].mean() > 0.8  # Rows that are 1 in every image.


def test_exported_endpoints_are_the_methods(model, tmp_path):
    model.export(tmp_path / "vae", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "vae")).signatures
    shown = model.likelihood.to_display
    images = tf.constant(shown(IMAGES), tf.int32)
    seed = tf.range(30, 50, dtype=tf.int64)
    np.testing.assert_array_equal(
        served["sample"](seed=seed)["images"], shown(model.generate(20, seed=30))
    )
    np.testing.assert_array_equal(
        served["reconstruct"](images=images, seed=seed)["images"],
        shown(model.reconstruct(IMAGES, seed=30)),
    )
    np.testing.assert_allclose(
        served["elbo"](images=images, seed=seed)["elbo"],
        model.elbo(IMAGES, seed=30),
        rtol=1e-5,
    )
    encoded = served["encode"](images=images)
    mean, stddev = model.encode(IMAGES)
    np.testing.assert_allclose(encoded["latent_mean"], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoded["latent_stddev"], stddev, rtol=1e-5)
    np.testing.assert_array_equal(
        served["decode"](latent=mean)["images"], shown(model.decode(mean))
    )


def test_generation(model):
    drawn = model.generate(4, seed=10)
    assert (drawn.shape, drawn.dtype) == ((4, *SHAPE), np.float32)
    assert 0 <= drawn.min() <= drawn.max() <= 1
    assert len(np.unique(drawn[:, 1, 0, 0])) == 4
    np.testing.assert_allclose(model.generate(1, seed=12)[0], drawn[2], rtol=1e-5)
    chosen = model.generate(3, seed=[13, 10, 11], batch_size=2)
    np.testing.assert_allclose(chosen, drawn[[3, 0, 1]], rtol=1e-5)
    under_xla = model.generate(4, seed=10, jit_compile=True)
    np.testing.assert_allclose(under_xla, drawn, rtol=1e-4)
    pixels = model.generate(300, seed=10, sample_pixels=True)
    assert pixels.dtype == np.uint8
    assert set(np.unique(pixels)) == {0, 1}
    means = model.generate(300, seed=10)
    np.testing.assert_allclose(pixels.mean(axis=0), means.mean(axis=0), atol=0.15)


def test_generation_needs_no_encoder(model):
    drawn = model.generate(3, seed=1)
    weights = model.get_weights()
    for part in (model.encoder, model.latent):
        part.set_weights([w * np.nan for w in part.get_weights()])
    again = model.generate(3, seed=1)
    model.set_weights(weights)
    np.testing.assert_array_equal(again, drawn)
    assert np.isfinite(drawn).all()


def test_initial_weights():
    model = VAE((8, 8, 1), 10, hidden_units=100)
    for weight in model.weights:
        values = np.asarray(weight)
        error = 4 * 0.01 / np.sqrt(2 * values.size)
        assert abs(values.std() - 0.01) < error, weight.path
        assert abs(values.mean()) < 4 * 0.01 / np.sqrt(values.size)
    assert len(model.weights) == 8
    assert not any(np.any(w) for w in VAE(SHAPE, 2, 4, weight_stddev=0).weights)


@pytest.mark.parametrize("conv_filters", [(), (3,)])
def test_weight_prior(conv_filters):
    images = IMAGES[:, :, :2]
    options = {"weight_prior": 50, "weight_stddev": 1.0, "conv_filters": conv_filters}
    model = VAE((4, 2, 1), 2, 4, **options)
    model.compile("sgd", run_eagerly=True)
    logs = model.evaluate(images, verbose=0, return_dict=True)
    squares = sum(np.square(np.asarray(w, "float64")).sum() for w in model.weights)
    np.testing.assert_allclose(
        logs["loss"], -logs["elbo"] + squares / (2 * 50), rtol=1e-5
    )


def test_several_samples_in_training():
    # `tests/conformance` trains with several.
    model = VAE(SHAPE, 2, 4, num_samples=3)
    assert model(IMAGES).shape == (60, *SHAPE)


REAL = [Gaussian(), Bernoulli(intensities=True)]
WHOLE = [Categorical(5), DiscretizedLogisticMixture(5, 2)]


@pytest.mark.parametrize(
    "likelihood", slow_but([*REAL, *WHOLE], REAL[0], WHOLE[0]), ids=str
)
def test_likelihoods(likelihood):
    model = VAE(SHAPE, 2, 6, likelihood)
    images = INTENSITIES
    if likelihood in WHOLE:
        images = (4.99 * images).astype("int32")
    model.compile(keras.optimizers.Adam(0.03), run_eagerly=True)
    history = model.fit(images, batch_size=20, epochs=6, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert model(images).shape == (20, *model.likelihood.params_shape(SHAPE))
    drawn = model.generate(5, seed=0)
    assert (drawn.shape, drawn.dtype) == ((5, *SHAPE), np.float32)
    assert drawn.min() >= 0
    assert drawn.max() <= model.likelihood.max_value
    pixels = model.generate(5, seed=0, sample_pixels=True)
    assert pixels.dtype == model.likelihood.dtype


def test_presets():
    for name, preset in VAE.presets.items():
        model = VAE.from_preset(name, hidden_units=2)
        assert model.image_shape == preset.config["image_shape"]
        assert model.latent_dim == preset.config["latent_dim"]
        # Heads as in the paper.
        scale = "log_variance" if name in ("mnist", "frey_face") else "log_stddev"
        assert model.latent.posterior == DiagonalNormal(scale)


@pytest.mark.parametrize("call", ["elbo", "encode", "reconstruct"])
def test_images_that_do_not_fit(model, call):
    run = getattr(model, call)
    with pytest.raises(ValueError, match="(?s)integers from 0 to 1.*values from 2"):
        run(IMAGES + 2)
    with pytest.raises(ValueError, match="data set whose elements are 2-tuples"):
        run(dataset((IMAGES, IMAGES), 4))


@pytest.mark.parametrize(
    "latents, text",
    [
        (np.zeros((3, 4)), r"\(num_images, 2\). Received: shape=\(3, 4\)"),
        (np.zeros(2), r"Received: shape=\(2,\)"),
        (1.0, r"Received: shape=\(\)"),
        (np.zeros((0, 2)), r"Received: shape=\(0, 2\)"),
        (np.zeros((1, 2, 1)), r"Received: shape=\(1, 2, 1\)"),
        ([[0, np.nan]], "finite latents"),
        ([[np.inf, 0]], "finite latents"),
    ],
)
def test_latents_that_do_not_fit(model, latents, text):
    with pytest.raises(ValueError, match=text):
        model.decode(latents)


@pytest.mark.parametrize(
    "call, arguments, text",
    [
        ("elbo", {"num_samples": 0}, "Received: num_samples=0"),
        ("log_prob", {"num_samples": 2.5}, "Received: num_samples=2.5"),
        ("elbo", {"seed": -1}, "Received: seed=-1"),
        ("elbo", {"seed": [1, 2]}, r"that of the first image. Received: seed=\[1, 2\]"),
        ("reconstruct", {"seed": 2**62 - 5}, "too large for the number of images"),
        ("reconstruct", {"batch_size": 0}, "Received: batch_size=0"),
    ],
)
def test_arguments_that_do_not_fit(model, call, arguments, text):
    with pytest.raises(ValueError, match=f"(?s){text}"):
        getattr(model, call)(IMAGES, **arguments)


def test_generation_takes_no_conditions(model):
    with pytest.raises(ValueError, match="Received: num_images=0"):
        model.generate(0)
    with pytest.raises(TypeError, match="conditions"):
        model.generate(2, conditions=[1, 2])
