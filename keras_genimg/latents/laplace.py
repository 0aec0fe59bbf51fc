"""Laplace distributions of independent coordinates."""

import keras
import tensorflow as tf

from keras_genimg.extras import import_probability
from keras_genimg.latents.latent_family import LatentFamily
from keras_genimg.types import Distribution, TensorLike


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
