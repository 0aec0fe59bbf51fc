"""The manifold of a known decoder, point by point."""

import keras
import numpy as np
import pytest

from keras_genimg.models import DRAW, VAE
from keras_genimg.visualization import latent_manifold


def test_latents_are_quantiles_and_the_second_points_up(monkeypatch):
    latents = keras.Input((2,))
    # A pixel for each latent, bright if it is above 0.
    pixels = keras.layers.Rescaling(1000, -10)(keras.layers.Reshape((1, 2, 1))(latents))
    model = VAE((1, 2, 1), 2, 3, decoder=keras.Model(latents, pixels))
    received, decode = [], model.decode

    def recorded(latents):
        received.append(latents)
        return decode(latents)

    monkeypatch.setattr(model, "decode", recorded)
    images = latent_manifold(model, size=3)
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
    vae = (3, 3, 1), 2, 3
    for model, text in [
        (VAE((3, 3, 1), 1, 3), "two latents.*latent_dim=1"),
        (VAE((3, 3, 1), 3, 3), "two latents.*latent_dim=3"),
        (object(), "two latents.*latent_dim=None"),
        (DRAW((4, 4, 1), 2, 3, 2), "needs a VAE.*DRAW.*latent_dim=None"),
        # Quantiles of a normal distribution would not cover it.
        (VAE(*vae, prior="laplace", estimator="monte_carlo"), "normal prior.*aplace"),
    ]:
        with pytest.raises(ValueError, match=text):
            latent_manifold(model, size=2)
    with pytest.raises(ValueError, match="size=0"):
        latent_manifold(VAE(*vae), size=0)
