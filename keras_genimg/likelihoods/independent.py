"""Likelihoods of independent sub-pixels: Bernoulli, categorical and Gaussian."""

import keras
import tensorflow as tf

from keras_genimg.extras import import_probability
from keras_genimg.likelihoods.likelihood import Likelihood
from keras_genimg.ops.checks import check_int
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


@keras.saving.register_keras_serializable(package="keras_genimg")
class Categorical(Likelihood):
    """Pixels with `num_values` unordered values, with a softmax per sub-pixel.

    Parameters are logits of shape `(batch, height, width, colors, num_values)`.

    Args:
        num_values: Number of values, at least 2; 256 for 8-bit images.

    Raises:
        ValueError: If `num_values` is not an integer of at least 2.

    References:
        van den Oord et al., Pixel Recurrent Neural Networks, 2016, section 3.
    """

    def __init__(self, num_values: int = 256):
        num_values = check_int("num_values", num_values, "Categorical", smallest=2)
        self.num_values = self.params_size = num_values

    def distribution(self, params: TensorLike) -> Distribution:
        tfp = import_probability()
        return tfp.distributions.Categorical(logits=tf.cast(params, tf.float32))

    def log_prob(self, params: TensorLike, images: TensorLike) -> tf.Tensor:
        return -tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.cast(images, tf.int32), tf.cast(params, tf.float32)
        )

    def sample(
        self, params: TensorLike, uniforms: TensorLike, temperature: Temperature = 1.0
    ) -> tf.Tensor:
        logits = self.at_temperature(params, temperature)
        # Steps of the cumulative distribution function without the last one, which is
        # 1, so that rounding cannot exceed the last value.
        steps = tf.cumsum(tf.nn.softmax(logits), axis=-1)[..., :-1]
        return tf.reduce_sum(tf.cast(uniforms[..., None] >= steps, tf.float32), axis=-1)

    def at_temperature(self, params: TensorLike, temperature: Temperature) -> tf.Tensor:
        temperature = tf.convert_to_tensor(temperature, tf.float32)[..., None]
        return tf.cast(params, tf.float32) / temperature

    def mean(self, params: TensorLike) -> tf.Tensor:
        values = tf.range(self.num_values, dtype=tf.float32)
        probabilities = tf.nn.softmax(tf.cast(params, tf.float32))
        return tf.linalg.matvec(probabilities, values)

    def get_config(self) -> Config:
        return {"num_values": self.num_values}


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
        """Sample intensities; `temperature` multiplies the variance."""
        # Take the center of an interval of length 2**-24, which is never 0 or 1.
        uniforms = tf.cast(uniforms, tf.float32)
        uniforms = tf.clip_by_value(uniforms, 2.0**-25, 1 - 2.0**-24)
        normal = self.distribution(params)
        noise = tf.math.ndtri(uniforms) * tf.sqrt(tf.cast(temperature, tf.float32))
        return normal.mean() + normal.stddev() * noise

    def get_config(self) -> Config:
        return {"min_stddev": self.min_stddev}
