import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.latents import DiagonalNormal
from keras_genimg.layers import GaussianLatent
from keras_genimg.models import VAE

FILES = pathlib.Path(__file__).parent / "files"
SHAPE = (4, 3, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(6, *SHAPE)).astype("uint8")


def scaled_twins():
    """Return two models with the same posterior, and the weights of both heads."""
    twins = [
        VAE(SHAPE, 2, 5, posterior=DiagonalNormal(scale), weight_stddev=0.5)
        for scale in ("log_stddev", "log_variance")
    ]
    twins[1].set_weights(twins[0].get_weights())
    for weight in twins[1].latent.parameters.weights:
        # The logarithm of a variance is twice that of a standard deviation.
        weight.assign(np.asarray(weight) * [1, 1, 2, 2])
    return twins


def test_a_file_from_before_the_argument_keeps_its_meaning():
    model = keras.models.load_model(FILES / "vae_before_posterior_scale.keras")
    expected = np.load(FILES / "vae_before_posterior_scale.npz")
    assert model.latent.posterior.scale == "log_stddev"
    images = expected["images"]
    mean, stddev = model.encode(images)
    np.testing.assert_allclose(mean, expected["mean"], rtol=1e-5)
    np.testing.assert_allclose(stddev, expected["stddev"], rtol=1e-5)
    elbo = model.elbo(images, num_samples=5, seed=3)
    np.testing.assert_allclose(elbo, expected["elbo"], rtol=1e-5)
    drawn = model.generate(2, seed=4)
    np.testing.assert_allclose(drawn, expected["drawn"], rtol=1e-5)


def test_both_heads_give_the_same_numbers():
    of_stddev, of_variance = scaled_twins()
    for a, b in zip(of_stddev.encode(IMAGES), of_variance.encode(IMAGES), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5)
    elbos = [model.elbo(IMAGES, num_samples=3, seed=1) for model in scaled_twins()]
    np.testing.assert_allclose(*elbos, rtol=1e-5)


def test_a_variance_has_half_the_gradient():
    gradients = []
    for scale in ("log_stddev", "log_variance"):
        family = DiagonalNormal(scale)
        params = tf.zeros((1, 4))
        with tf.GradientTape() as tape:
            tape.watch(params)
            samples = family.from_noise(params, tf.constant([[0.5, -2.0]]))
            density = family.distribution(params).log_prob([1.0, 3.0])
            total = tf.reduce_sum(samples) + tf.reduce_sum(density)
        gradients.append(np.asarray(tape.gradient(total, params))[0])
    np.testing.assert_allclose(gradients[1][:2], gradients[0][:2])
    # The gradient is noise for sigma * noise, (z / sigma)^2 - 1 for the log density.
    np.testing.assert_allclose(gradients[0][2:], [0.5, 6])
    np.testing.assert_allclose(gradients[1][2:], [0.25, 3])


def test_configs_and_files_store_the_meaning(tmp_path):
    model = scaled_twins()[1]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.latent.posterior == DiagonalNormal("log_variance")
    np.testing.assert_array_equal(loaded.encode(IMAGES), model.encode(IMAGES))
    layer = GaussianLatent(2, scale="log_variance")
    config = json.loads(json.dumps(layer.get_config()))
    assert GaussianLatent.from_config(config).posterior == layer.posterior
    del config["scale"]
    assert GaussianLatent.from_config(config).posterior == DiagonalNormal()
    assert DiagonalNormal.from_config({}).scale == "log_stddev"


def test_presets_have_the_head_of_the_paper():
    for name in ("mnist", "frey_face"):
        model = VAE.from_preset(name, hidden_units=2)
        assert model.latent.posterior == DiagonalNormal("log_variance")
    assert VAE.from_preset("digits", hidden_units=2).latent.posterior == (
        DiagonalNormal()
    )


def test_an_unknown_meaning_is_refused():
    with pytest.raises(ValueError, match="'log_variance'. Received: scale='variance'"):
        DiagonalNormal("variance")
