"""The manifold of a known decoder, point by point."""

import types

import numpy as np
import pytest

from keras_genimg.latents import DiagonalNormal
from keras_genimg.likelihoods import Bernoulli
from keras_genimg.models import DRAW, VAE
from keras_genimg.visualization import latent_manifold


def model_of(decode, latent_dim=2):
    return types.SimpleNamespace(
        decode=decode,
        likelihood=Bernoulli(),
        latent_dim=latent_dim,
        latent=types.SimpleNamespace(prior=DiagonalNormal()),
    )


def test_latents_are_quantiles_and_the_second_points_up():
    received = []

    def decode(latents):
        received.append(latents)
        return (latents > 0).astype("float32").reshape(-1, 1, 2, 1)

    images = latent_manifold(model_of(decode), size=3)
    assert images.shape == (9, 1, 2, 1) and images.dtype == np.uint8
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
    displayed = 255 * (np.array(expected) > 0)
    np.testing.assert_array_equal(images.reshape(9, 2), displayed)


def test_bad_arguments_are_refused():
    def decode(latents):
        raise AssertionError("must not be called")

    for latent_dim in (1, 3, None):
        with pytest.raises(ValueError, match=f"two latents.*latent_dim={latent_dim}"):
            latent_manifold(model_of(decode, latent_dim))
    with pytest.raises(ValueError, match="two latents.*latent_dim=None"):
        latent_manifold(object())
    with pytest.raises(ValueError, match="needs a VAE.*latent_dim=2"):
        latent_manifold(DRAW((4, 4, 1), 2, 3, 2, read_size=2, write_size=2))
    with pytest.raises(ValueError, match="size=0"):
        latent_manifold(model_of(decode), size=0)


def test_other_priors_are_refused():
    """Quantiles of a normal distribution would not cover them."""
    model = VAE((3, 3, 1), 2, 3, posterior="laplace", estimator="monte_carlo")
    with pytest.raises(
        ValueError, match="standard normal prior.*Received: prior=.*aplace"
    ):
        latent_manifold(model, size=2)
