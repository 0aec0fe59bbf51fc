"""A likelihood that draws the colors of a pixel together."""

import keras
import tensorflow as tf

from keras_genimg.likelihoods import Categorical, Likelihood


@keras.saving.register_keras_serializable(package="tests")
class Chain(Likelihood):
    """A table for red, one of green per red, and one of blue per pair of both.

    Parameters are the logits of all tables, concatenated on the last axis.
    """

    couples_colors = True

    def __init__(self, num_values=3):
        self.num_values = num_values

    def params_shape(self, image_shape):
        *size, num_colors = image_shape
        return (*size, sum(self.num_values ** (k + 1) for k in range(num_colors)))

    def at_temperature(self, params, temperature):
        return tf.cast(params, tf.float32) / temperature

    def sample(self, params, uniforms, temperature=1.0):
        uniforms = tf.convert_to_tensor(uniforms)
        one_color = Categorical(self.num_values)
        logits = self.at_temperature(params, temperature)

        def draw(k, table):
            return one_color.sample(table, uniforms[..., k])

        drawn, _ = self._along(logits, uniforms.shape[-1], draw)
        return tf.stack(drawn, axis=-1)

    def log_prob(self, params, images):
        images = tf.cast(images, tf.float32)
        logits = tf.cast(params, tf.float32)
        pixels = tf.unstack(images, axis=-1)
        _, tables = self._along(logits, len(pixels), lambda k, table: pixels[k])
        one_color = Categorical(self.num_values)
        return tf.add_n(
            [one_color.log_prob(t, p) for t, p in zip(tables, pixels, strict=True)]
        )

    def get_config(self):
        return {"num_values": self.num_values}

    def _rows(self, table):
        rows = table.shape[-1] // self.num_values
        shape = tf.concat([tf.shape(table)[:-1], [rows, self.num_values]], axis=0)
        return tf.reshape(table, shape)

    def _along(self, logits, num_colors, choose):
        """Follow a path through the tables; return the values and the tables met."""
        sizes = [self.num_values ** (k + 1) for k in range(num_colors)]
        index = tf.zeros(tf.shape(logits)[:-1], tf.int32)
        values, met = [], []
        for k, table in enumerate(tf.split(logits, sizes, axis=-1)):
            table = tf.gather(
                self._rows(table), index, batch_dims=len(logits.shape) - 1
            )
            values.append(choose(k, table))
            met.append(table)
            index = index * self.num_values + tf.cast(values[-1], tf.int32)
        return values, met
