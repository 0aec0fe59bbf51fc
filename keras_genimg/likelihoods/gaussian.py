"""Gaussian likelihood."""

import keras
import tensorflow as tf

from keras_genimg.extras import import_probability
from keras_genimg.likelihoods.likelihood import Likelihood
from keras_genimg.types import Config, Distribution, Temperature, TensorLike


@keras.saving.register_keras_serializable(package="keras_genimg")
class Gaussian(Likelihood):
    """Real intensities from 0 to 1, with a normal distribution per sub-pixel.

    Parameters `(a, b)` have the shape `(batch, height, width, colors, 2)`:

        mean = sigmoid(a), standard deviation = min_stddev + exp(b / 2)

    Apart from `min_stddev`, b is the logarithm of the variance, as in the paper. The
    log-probability is the logarithm of a density, in nats, and can be above 0.

    Args:
        min_stddev: Smallest standard deviation, at least 0. With 0, the density is
            unbounded for pixels that are equal in all images.

    Raises:
        ValueError: If `min_stddev` is below 0.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, appendix C.2 and
        section 5, https://arxiv.org/abs/1312.6114
    """

    num_values = None
    params_size = 2

    def __init__(self, min_stddev: float = 1e-3):
        if not min_stddev >= 0:
            raise ValueError(
                f"`min_stddev` of Gaussian must be at least 0. Received: "
                f"min_stddev={min_stddev!r}"
            )
        self.min_stddev = float(min_stddev)

    def distribution(self, params: TensorLike) -> Distribution:
        tfp = import_probability()

        a, b = tf.unstack(tf.cast(params, tf.float32), axis=-1)
        stddev = self.min_stddev + tf.exp(b / 2)
        return tfp.distributions.Normal(tf.sigmoid(a), stddev)

    def sample(
        self, params: TensorLike, uniforms: TensorLike, temperature: Temperature = 1.0
    ) -> tf.Tensor:
        """Draw intensities; `temperature` multiplies the variance."""
        # The center of an interval of length 2**-24, so never 0 or 1.
        uniforms = tf.cast(uniforms, tf.float32)
        uniforms = tf.clip_by_value(uniforms, 2.0**-25, 1 - 2.0**-24)
        normal = self.distribution(params)
        noise = tf.math.ndtri(uniforms) * tf.sqrt(tf.cast(temperature, tf.float32))
        return normal.mean() + normal.stddev() * noise

    def get_config(self) -> Config:
        return {"min_stddev": self.min_stddev}
