"""Normal distributions with a diagonal covariance."""

import keras
import tensorflow as tf

from keras_genimg.latents.family import LatentFamily
from keras_genimg.ops.uniforms import row_normals


@keras.saving.register_keras_serializable(package="keras_genimg")
class DiagonalNormal(LatentFamily):
    """Vectors of independent normal numbers; the standard member is N(0, I).

    Parameters are means and logarithms of standard deviations, one after the other,
    `(..., 2 * latent_dim)`.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, equation 9;
        Gregor et al., DRAW, 2015, equations 1 and 2.
    """

    def params_size(self, latent_dim):
        return 2 * latent_dim

    def distribution(self, params):
        import tensorflow_probability as tfp

        mean, log_stddev = tf.split(params, 2, axis=-1)
        return tfp.distributions.MultivariateNormalDiag(mean, tf.exp(log_stddev))

    def from_noise(self, params, noise):
        """Return vectors from standard normal noise, `(..., latent_dim)`."""
        mean, log_stddev = tf.split(params, 2, axis=-1)
        return mean + tf.exp(log_stddev) * noise

    def sample_rows(self, params, seeds, latent_dim, stream):
        return self.from_noise(params, row_normals(seeds, (latent_dim,), stream))
