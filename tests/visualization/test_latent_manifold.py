"""The manifold of a known decoder, point by point."""

import types

import numpy as np
import pytest

from keras_genimg.latents import DiagonalNormal
from keras_genimg.likelihoods import Bernoulli, Categorical
from keras_genimg.models import VAE
from keras_genimg.visualization import latent_manifold, save_grid


def model_of(decode, likelihood, latent_dim=2):
    return types.SimpleNamespace(
        decode=decode,
        likelihood=likelihood,
        latent_dim=latent_dim,
        latent=types.SimpleNamespace(prior=DiagonalNormal()),
    )


def test_latents_are_quantiles_and_the_second_points_up():
    received = []

    def decode(latents):
        received.append(latents)
        return np.zeros((len(latents), 2, 3, 1), "float32")

    images = latent_manifold(model_of(decode, Bernoulli()), size=3)
    assert images.shape == (9, 2, 3, 1) and images.dtype == np.uint8
    (latents,) = received
    assert type(latents) is np.ndarray and latents.dtype == np.float32
    # Tables of the Gaussian: 1/6 of its mass lies below -0.9674216.
    q = 0.9674216
    expected = [
        [-q, q], [0, q], [q, q],
        [-q, 0], [0, 0], [q, 0],
        [-q, -q], [0, -q], [q, -q],
    ]  # fmt: skip
    np.testing.assert_allclose(latents, expected, atol=1e-6)


@pytest.mark.parametrize(
    "likelihood", [Bernoulli(), Categorical(256), Categorical(17)], ids=repr
)
def test_means_become_displayable_images(tmp_path, likelihood):
    def decode(latents):
        # Red grows to the right, green upwards, blue is full.
        brightness = 0.5 + np.clip(latents, -1, 1) / 2
        full = np.ones((len(latents), 1), "float32")
        pixels = np.concatenate([brightness, full], axis=1)
        return pixels.reshape(-1, 1, 1, 3) * (likelihood.num_values - 1)

    images = latent_manifold(model_of(decode, likelihood), size=2)
    low, high = (round(255 * (0.5 + sign * 0.67449 / 2)) for sign in (-1, 1))
    expected = [[low, high], [high, high], [low, low], [high, low]]
    np.testing.assert_array_equal(images[:, 0, 0, :2], expected)
    assert (images[..., 2] == 255).all()
    save_grid(tmp_path / "manifold.png", images, columns=2, padding=0)


def test_bad_arguments_are_refused():
    def decode(latents):
        raise AssertionError("must not be called")

    for latent_dim in (1, 3, None):
        with pytest.raises(ValueError, match=f"two latents.*latent_dim={latent_dim}"):
            latent_manifold(model_of(decode, Bernoulli(), latent_dim))
    with pytest.raises(ValueError, match="two latents.*latent_dim=None"):
        latent_manifold(object())
    with pytest.raises(ValueError, match="size=0"):
        latent_manifold(model_of(decode, Bernoulli()), size=0)


def test_other_priors_are_refused():
    """Quantiles of a normal distribution would not cover them."""
    model = VAE((3, 3, 1), 2, 3, posterior="laplace", estimator="monte_carlo")
    with pytest.raises(
        ValueError, match="standard normal prior.*Received: prior=.*aplace"
    ):
        latent_manifold(model, size=2)
