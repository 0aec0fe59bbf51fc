"""A likelihood that draws the colors of a pixel together."""

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.likelihoods import Categorical, Likelihood


@keras.saving.register_keras_serializable(package="tests")
class PixelTable(Likelihood):
    """A table of all values of a pixel; parameters are its logits."""

    couples_colors = True

    def __init__(self, num_values=3):
        self.num_values = num_values

    def params_shape(self, image_shape):
        *size, num_colors = image_shape
        return (*size, self.num_values**num_colors)

    def at_temperature(self, params, temperature):
        return tf.cast(params, tf.float32) / temperature

    def sample(self, params, uniforms, temperature=1.0):
        logits = self.at_temperature(params, temperature)
        index = Categorical(params.shape[-1]).sample(logits, uniforms[..., 0])
        return index[..., None] // self._places(uniforms) % self.num_values

    def log_prob(self, params, images):
        digits = tf.cast(images, tf.float32) * self._places(images)
        index = tf.reduce_sum(digits, axis=-1)
        return Categorical(params.shape[-1]).log_prob(params, index)

    def _places(self, pixels):
        powers = np.arange(pixels.shape[-1])[::-1]
        return (self.num_values**powers).astype("float32")

    def get_config(self):
        return {"num_values": self.num_values}
