"""Gaussian latent variables."""

from typing import Any, Literal

import keras

from keras_genimg.latents import DiagonalNormal
from keras_genimg.layers.latent import Latent
from keras_genimg.types import Config


@keras.saving.register_keras_serializable(package="keras_genimg")
class GaussianLatent(Latent):
    """Layer that samples from N(mu, diag(sigma^2)), with the prior N(0, I).

    `mu` and `log sigma` (or `log sigma^2`, see `scale`) are linear maps of the
    features, and

        z = mu + sigma * noise
        KL = 1/2 * sum over the latent_dim coordinates of
             (mu^2 + sigma^2 - log sigma^2 - 1)

    See `Latent` for the term that is added to the loss, and for other families.

    Args:
        latent_dim: Size of a latent vector.
        estimator: `"analytic"` adds the divergence above, `"monte_carlo"` estimates it
            from the samples.
        num_samples: Samples per image.
        scale: Meaning of the second half of the linear map's outputs, `"log_stddev"` or
            `"log_variance"`, see `keras_genimg.latents.DiagonalNormal`.
        **kwargs: Other arguments of `Latent`, such as `kernel_initializer` and `seed`.

    Input shape:
        `(batch, features)`.

    Output shape:
        `(batch * num_samples, latent_dim)`; the samples of an image are consecutive.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> features = keras.layers.Dense(500, "tanh")(flat_images)
        >>> z = GaussianLatent(20)(features)

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, section 3 and
        appendix B, https://arxiv.org/abs/1312.6114
    """

    def __init__(
        self,
        latent_dim: int,
        estimator: Literal["analytic", "monte_carlo"] = "analytic",
        num_samples: int = 1,
        scale: Literal["log_stddev", "log_variance"] = "log_stddev",
        **kwargs: Any,
    ):
        super().__init__(
            latent_dim,
            DiagonalNormal(scale),
            estimator=estimator,
            num_samples=num_samples,
            **kwargs,
        )

    def get_config(self) -> Config:
        config = super().get_config()
        del config["posterior"], config["prior"]
        return {**config, **self.posterior.get_config()}
