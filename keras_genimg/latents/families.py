"""Families of distributions over latent vectors."""

from typing import Literal

import keras
import tensorflow as tf

from keras_genimg.extras import import_probability
from keras_genimg.ops.checks import check_choice
from keras_genimg.ops.configurable import Configurable, from_identifier
from keras_genimg.ops.uniforms import seeded_normals, seeded_uniforms
from keras_genimg.types import Config, Distribution, Stream, TensorLike


class LatentFamily(Configurable):
    """Base class for reparameterizable families of distributions over latent vectors.

    A posterior is a member of a family whose parameters are computed by a network. The
    prior is the standard member, whose parameters are all 0.

    Subclasses implement `params_size` and `distribution`, and must be registered as a
    Keras serializable. The distribution can be any one that TFP can reparameterize. If
    the constructor has arguments, the subclass also implements `get_config`.

    Example:
        >>> @keras.saving.register_keras_serializable(package="my_package")
        ... class StudentT(LatentFamily):
        ...     def params_size(self, latent_dim):
        ...         return 2 * latent_dim
        ...
        ...     def distribution(self, params):
        ...         loc, log_scale = tf.split(params, 2, axis=-1)
        ...         normal = tfp.distributions.StudentT(5.0, loc, tf.exp(log_scale))
        ...         return tfp.distributions.Independent(normal, 1)
        >>> layer = Latent(20, posterior=StudentT(), estimator="monte_carlo")

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, section 2.4,
        https://arxiv.org/abs/1312.6114
    """

    def params_size(self, latent_dim: int) -> int:
        """Return the number of parameters for vectors of length `latent_dim`."""
        raise NotImplementedError

    def distribution(self, params: TensorLike) -> Distribution:
        """Return the TFP distribution with the given parameters.

        Args:
            params: Float32, `(..., params_size)`.

        Returns:
            A distribution with batch shape `(...)` and event shape `(latent_dim,)`.
        """
        raise NotImplementedError

    def standard(self, latent_dim: int) -> Distribution:
        """Return the standard member, a TFP distribution with an empty batch shape."""
        return self.distribution(tf.zeros((self.params_size(latent_dim),)))

    def seeded_sample(
        self, params: TensorLike, seeds: TensorLike, latent_dim: int, stream: Stream
    ) -> tf.Tensor:
        """Sample one vector per seed; it depends on its own parameters and seed alone.

        Args:
            params: Float32, `(batch, params_size)`.
            seeds: Integers from 0 to `MAX_SEED`, `(batch,)`.
            latent_dim: Length of a vector.
            stream: Independent stream of the seeds to sample from: one integer, or one
                per seed.

        Returns:
            Float32, `(batch, latent_dim)`.
        """
        # TFP's sampler is seeded with two numbers of 24 bits each.
        keys = tf.cast(seeded_uniforms(seeds, (2,), stream) * 2.0**24, tf.int32)
        latents = tf.map_fn(
            lambda inputs: self.distribution(inputs[0]).sample(seed=inputs[1]),
            (params, keys),
            fn_output_signature=tf.float32,
        )
        return tf.ensure_shape(latents, (None, latent_dim))


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


@keras.saving.register_keras_serializable(package="keras_genimg")
class FullNormal(LatentFamily):
    """Normal distributions with any covariance; the standard member is N(0, I).

    Parameters have the shape `(..., latent_dim + latent_dim * (latent_dim + 1) / 2)`:
    the means, then a lower triangular matrix. With its diagonal exponentiated, the
    matrix is the Cholesky factor of the covariance.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, section 2.3.
    """

    def params_size(self, latent_dim: int) -> int:
        return latent_dim + latent_dim * (latent_dim + 1) // 2

    def _mean_and_factor(self, params):
        tfp = import_probability()

        # size = d + d (d + 1) / 2 = ((2 d + 3)**2 - 9) / 8
        latent_dim = round(((8 * params.shape[-1] + 9) ** 0.5 - 3) / 2)
        mean, triangle = params[..., :latent_dim], params[..., latent_dim:]
        factor = tfp.math.fill_triangular(triangle)
        diagonal = tf.exp(tf.linalg.diag_part(factor))
        # XLA has no gradient of `set_diag` for batches of unknown size.
        below = factor * (1 - tf.eye(latent_dim, dtype=factor.dtype))
        return mean, below + tf.linalg.diag(diagonal)

    def distribution(self, params: TensorLike) -> Distribution:
        tfp = import_probability()
        return tfp.distributions.MultivariateNormalTriL(*self._mean_and_factor(params))

    def seeded_sample(
        self, params: TensorLike, seeds: TensorLike, latent_dim: int, stream: Stream
    ) -> tf.Tensor:
        mean, factor = self._mean_and_factor(params)
        noise = seeded_normals(seeds, (latent_dim,), stream)
        return mean + tf.linalg.matvec(factor, noise)


@keras.saving.register_keras_serializable(package="keras_genimg")
class Laplace(LatentFamily):
    """Independent Laplace distributions; the standard member has scale 1.

    Parameters have the shape `(..., 2 * latent_dim)`: the locations, then the
    logarithms of the scales. The locations of the standard member are 0.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, section 2.4 (2).
    """

    def params_size(self, latent_dim: int) -> int:
        return 2 * latent_dim

    def distribution(self, params: TensorLike) -> Distribution:
        tfp = import_probability()

        location, log_scale = tf.split(params, 2, axis=-1)
        laplace = tfp.distributions.Laplace(location, tf.exp(log_scale))
        return tfp.distributions.Independent(laplace, reinterpreted_batch_ndims=1)


_BY_NAME = {
    "diagonal_normal": DiagonalNormal,
    "full_normal": FullNormal,
    "laplace": Laplace,
}


def get(identifier: str | Config | LatentFamily) -> LatentFamily:
    """Return a family of latent distributions by name, config or object.

    Args:
        identifier: `"diagonal_normal"`, `"full_normal"`, `"laplace"`, the config of a
            serialized family, or a `LatentFamily`.

    Raises:
        ValueError: If it is none of these.
    """
    return from_identifier("family", identifier, LatentFamily, _BY_NAME)
