"""Normal distributions with a full covariance."""

import keras
import tensorflow as tf

from keras_genimg.extras import import_probability
from keras_genimg.latents.latent_family import LatentFamily
from keras_genimg.ops.uniforms import seeded_normals
from keras_genimg.types import Distribution, Stream, TensorLike


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
