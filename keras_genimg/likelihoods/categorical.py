"""Categorical likelihood."""

import keras
import tensorflow as tf

from keras_genimg.extras import import_probability
from keras_genimg.likelihoods.likelihood import Likelihood
from keras_genimg.ops.checks import check_int
from keras_genimg.types import Config, Distribution, Temperature, TensorLike


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
