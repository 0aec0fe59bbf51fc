"""Bernoulli likelihood."""

import keras
import tensorflow as tf

from keras_genimg.extras import import_probability
from keras_genimg.likelihoods.likelihood import Likelihood
from keras_genimg.types import Config, Distribution, Temperature, TensorLike


@keras.saving.register_keras_serializable(package="keras_genimg")
class Bernoulli(Likelihood):
    """Binary pixels, 0 or 1, with one logit per sub-pixel.

    Parameters are logits of shape `(batch, height, width, colors)`.

    Args:
        intensities: Whether pixels are real intensities from 0 to 1, as DRAW models
            color images. An intensity x is treated as the probability of a 1, and its
            log-probability is the expected value `x log p + (1 - x) log(1 - p)`. This
            is not a density over intensities.

    Example:
        >>> Bernoulli().log_prob(np.zeros((1, 2, 2, 1)), np.ones((1, 2, 2, 1)))[0, 0, 0]
        <tf.Tensor: shape=(1,), dtype=float32, numpy=array([-0.6931472], dtype=float32)>

    References:
        Gregor et al., DRAW, 2015, section 4.4, https://arxiv.org/abs/1502.04623
    """

    params_size = 1

    def __init__(self, intensities: bool = False):
        self.intensities = intensities
        self.num_values = None if intensities else 2
        self.binarizes = not intensities

    def distribution(self, params: TensorLike) -> Distribution:
        tfp = import_probability()
        return tfp.distributions.Bernoulli(logits=tf.cast(params, tf.float32))

    def log_prob(self, params: TensorLike, images: TensorLike) -> tf.Tensor:
        logits, images = tf.cast(params, tf.float32), tf.cast(images, tf.float32)
        zero = tf.math.multiply_no_nan(-tf.math.softplus(logits), 1 - images)
        return zero + tf.math.multiply_no_nan(-tf.math.softplus(-logits), images)

    def mean(self, params: TensorLike) -> tf.Tensor:
        return tf.sigmoid(tf.cast(params, tf.float32))

    def sample(
        self, params: TensorLike, uniforms: TensorLike, temperature: Temperature = 1.0
    ) -> tf.Tensor:
        logits = self.at_temperature(params, temperature)
        # The probability of 0 is the first step of the distribution function.
        return tf.cast(uniforms >= tf.sigmoid(-logits), tf.float32)

    def at_temperature(self, params: TensorLike, temperature: Temperature) -> tf.Tensor:
        return tf.cast(params, tf.float32) / temperature

    def get_config(self) -> Config:
        return {"intensities": True} if self.intensities else {}

    @property
    def _hint(self):
        if self.intensities:
            return super()._hint
        return (
            'Binarize them first, as `datasets.load(..., binarize="dynamic")` does; or '
            "use the likelihood Categorical(256) for integers from 0 to 255, or "
            "Bernoulli(intensities=True) for real numbers from 0 to 1."
        )
