"""Likelihoods as users write them: right ones, and wrong ones that must be refused."""

import keras
import tensorflow as tf

from keras_genimg.likelihoods import Bernoulli, Categorical, Likelihood

registered = keras.saving.register_keras_serializable(package="fuzz")

# Right.


@registered
class Levels(Likelihood):
    """Ordered values, whose logits are a parabola of the value."""

    params_size = 2

    def __init__(self, num_values=4):
        self.num_values = num_values

    def _logits(self, params):
        slope, bend = tf.unstack(tf.cast(params, tf.float32)[..., None, :], axis=-1)
        x = tf.linspace(-1.0, 1.0, self.num_values)
        return slope * x + bend * x**2

    def log_prob(self, params, images):
        return Categorical(self.num_values).log_prob(self._logits(params), images)

    def sample(self, params, uniforms, temperature=1.0):
        categorical = Categorical(self.num_values)
        return categorical.sample(self._logits(params), uniforms, temperature)

    def get_config(self):
        return {"num_values": self.num_values}


@registered
class Mirrored(Bernoulli):
    """A Bernoulli whose logits are those of a 0."""

    def log_prob(self, params, images):
        return super().log_prob(-params, images)

    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(-params, uniforms, temperature)


# Wrong.


@registered
class Unnormalized(Bernoulli):
    """Its probabilities sum to 1.49."""

    def log_prob(self, params, images):
        return super().log_prob(params, images) + 0.4


@registered
class OtherLogits(Categorical):
    """Draws from flatter logits than it scores."""

    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(0.5 * params, uniforms, temperature)


@registered
class OwnNoise(Bernoulli):
    """Draws with random numbers that no seed decides."""

    def sample(self, params, uniforms, temperature=1.0):
        noise = tf.random.uniform(tf.shape(uniforms))
        return super().sample(params, noise, temperature)


@registered
class OutOfRange(Categorical):
    """Draws values from 1."""

    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(params, uniforms, temperature) + 1


@registered
class MixedExamples(Bernoulli):
    """Centers the logits over the batch."""

    def log_prob(self, params, images):
        return super().log_prob(params - tf.reduce_mean(params, axis=0), images)


@registered
class MixedPixels(Bernoulli):
    """Smooths the logits along the last axes."""

    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(tf.roll(params, 1, axis=0), uniforms, temperature)


RIGHT = [lambda: Levels(3), lambda: Levels(5), Mirrored]
WRONG = [
    Unnormalized,
    lambda: OtherLogits(3),
    OwnNoise,
    lambda: OutOfRange(3),
    MixedExamples,
    MixedPixels,
]
