"""The images that a two-dimensional latent space holds."""

from statistics import NormalDist

import numpy as np

from keras_genimg.visualization.checks import check_int


def latent_manifold(model, size=20):
    """Return the images of a VAE's two latents, spread evenly over the prior.

    The unit square is divided into `size` times `size` cells. Their centres are mapped
    to latents through the inverse of the Gaussian's distribution function, so that each
    stands for the same share of the prior, and decoded to mean images.

    Args:
        model: A VAE with `latent_dim=2`.
        size: Images in each row and column.

    Returns:
        Displayable `uint8` images `(size * size, height, width, colors)`, row by row:
        the first latent grows to the right, the second upwards. Draw them with
        `save_grid(path, images, columns=size, padding=0)`.

    Raises:
        ValueError: If `model` has not two latents, or `size` is out of range.

    Example:
        >>> model = VAE((28, 28, 1), latent_dim=2)
        >>> images = latent_manifold(model, size=20)
        >>> save_grid("manifold.png", images, columns=20, padding=0)

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, appendix A and
        figure 4, https://arxiv.org/abs/1312.6114
    """
    check_int("size", size, 1)
    latent_dim = getattr(model, "latent_dim", None)
    if latent_dim != 2:
        raise ValueError(
            "latent_manifold draws a plane, and needs a model of two latents, such as "
            f"a VAE with latent_dim=2. Received: {model!r} with latent_dim={latent_dim}"
        )
    prior = NormalDist()
    quantiles = [prior.inv_cdf((index + 0.5) / size) for index in range(size)]
    # (size, size) each: rows from the top, where the second latent is largest.
    first, second = np.meshgrid(quantiles, quantiles[::-1])
    latents = np.stack([first.ravel(), second.ravel()], axis=-1)
    means = model.decode(latents.astype("float32"))
    return model.likelihood.to_display(np.asarray(means))
