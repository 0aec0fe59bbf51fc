"""Normal distributions with a diagonal covariance."""

from typing import Literal

import keras
import tensorflow as tf

from keras_genimg.extras import import_probability
from keras_genimg.latents.latent_family import LatentFamily
from keras_genimg.ops.checks import check_choice
from keras_genimg.ops.uniforms import seeded_normals
from keras_genimg.types import Config, Distribution, Stream, TensorLike


@keras.saving.register_keras_serializable(package="keras_genimg")
class DiagonalNormal(LatentFamily):
    """Normal distributions with a diagonal covariance; the standard member is N(0, I).

    Parameters have the shape `(..., 2 * latent_dim)`: the means, then the log scales s.
    The standard deviation sigma is

        "log_stddev":    sigma = exp(s)
        "log_variance":  sigma = exp(s / 2)

    Both settings give the same distributions but differ in training: the same step of s
    changes log sigma twice as much with `"log_stddev"`. Training with a learning rate
    published for one setting can diverge with the other.

    Args:
        scale: Meaning of s: `"log_stddev"`, the choice of the DRAW paper, or
            `"log_variance"`, the choice of the VAE paper. Saved files without this
            setting are read as `"log_stddev"`.

    Raises:
        ValueError: If `scale` is neither of these.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, equation 9 and
        appendix C.2, where the network computes log sigma^2;
        Gregor et al., DRAW, 2015, equations 1 and 2, where it computes log sigma.
    """

    def __init__(self, scale: Literal["log_stddev", "log_variance"] = "log_stddev"):
        choices = ("log_stddev", "log_variance")
        self.scale = check_choice("scale", scale, choices, "DiagonalNormal")

    def params_size(self, latent_dim: int) -> int:
        return 2 * latent_dim

    def distribution(self, params: TensorLike) -> Distribution:
        tfp = import_probability()
        return tfp.distributions.MultivariateNormalDiag(*self._moments(params))

    def from_noise(self, params: TensorLike, noise: TensorLike) -> tf.Tensor:
        """Transform standard normal noise into vectors, `(..., latent_dim)` each."""
        mean, stddev = self._moments(params)
        return mean + stddev * noise

    def seeded_sample(
        self, params: TensorLike, seeds: TensorLike, latent_dim: int, stream: Stream
    ) -> tf.Tensor:
        return self.from_noise(params, seeded_normals(seeds, (latent_dim,), stream))

    def _moments(self, params):
        """Return mean and standard deviation, `(..., latent_dim)` each."""
        mean, log_scale = tf.split(params, 2, axis=-1)
        if self.scale == "log_variance":
            log_scale = log_scale / 2
        return mean, tf.exp(log_scale)

    def get_config(self) -> Config:
        return {"scale": self.scale}
