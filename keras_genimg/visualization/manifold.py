"""Images of a two-dimensional latent space."""

from statistics import NormalDist

import numpy as np

from keras_genimg.latents import DiagonalNormal, FullNormal
from keras_genimg.models import VAE
from keras_genimg.ops.checks import check_positive_int


def latent_manifold(model: VAE, size: int = 20) -> np.ndarray:
    """Return images of a VAE's two latents, spread evenly over the prior.

    The centers of `size` by `size` cells of the unit square are mapped to latents by
    the inverse Gaussian CDF, so that each cell has the same prior probability. The
    latents are decoded to mean images.

    Args:
        model: A VAE with `latent_dim=2`.
        size: Number of images per row and per column.

    Returns:
        Displayable `uint8` images of shape `(size * size, height, width, colors)`, row
        by row. The first latent grows to the right, the second upwards. Draw them with
        `save_grid(path, images, columns=size, padding=0)`.

    Raises:
        ValueError: If `model` is not a VAE with two latents and a normal prior, or
            `size` is out of range.

    Example:
        >>> model = VAE((28, 28, 1), latent_dim=2)
        >>> images = latent_manifold(model, size=20)
        >>> save_grid("manifold.png", images, columns=20, padding=0)

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, appendix A and
        figure 4, https://arxiv.org/abs/1312.6114
    """
    size = check_positive_int("size", size)
    # DRAW has latents for each glimpse.
    latent_dim = model.latent_dim if isinstance(model, VAE) else None
    if latent_dim != 2:
        raise ValueError(
            "latent_manifold needs a VAE with two latents, latent_dim=2. Received: "
            f"{model!r} with latent_dim={latent_dim}"
        )
    family = model.latent.prior
    if not isinstance(family, (DiagonalNormal, FullNormal)):
        raise ValueError(
            "latent_manifold needs a standard normal prior, whose quantiles it spreads "
            'the latents by. Build the model with prior="diagonal_normal". Received: '
            f"prior={family}"
        )
    prior = NormalDist()
    quantiles = [prior.inv_cdf((index + 0.5) / size) for index in range(size)]
    # (size, size) each: rows from the top, where the second latent is largest.
    first, second = np.meshgrid(quantiles, quantiles[::-1])
    latents = np.stack([first.ravel(), second.ravel()], axis=-1)
    means = model.decode(latents.astype("float32"))
    return model.likelihood.to_display(np.asarray(means))
