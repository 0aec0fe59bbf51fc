"""Bernoulli likelihood."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_genimg.likelihoods.likelihood import Likelihood


@keras.saving.register_keras_serializable(package="keras_genimg")
class Bernoulli(Likelihood):
    """Binary pixels, 0 or 1, from one logit a sub-pixel.

    Parameters are logits of shape `(batch, height, width, colors)`.

    Example:
        >>> Bernoulli().log_prob(np.zeros((1, 2, 2, 1)), np.ones((1, 2, 2, 1)))[0, 0, 0]
        <tf.Tensor: shape=(1,), dtype=float32, numpy=array([-0.6931472], dtype=float32)>
    """

    num_values = 2
    params_size = 1

    def distribution(self, params):
        return tfp.distributions.Bernoulli(logits=tf.cast(params, tf.float32))

    def sample(self, params, uniforms, temperature=1.0):
        logits = tf.cast(params, tf.float32) / temperature
        # The probability of 0 is the first step of the distribution function.
        return tf.cast(uniforms >= tf.sigmoid(-logits), tf.float32)

    @property
    def _hint(self):
        return 'Binarize them first, as `datasets.load(..., binarize="dynamic")` does.'
