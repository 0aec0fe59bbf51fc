"""Likelihoods as users write them: right ones, and wrong ones that must be refused."""

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from keras_genimg.likelihoods import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    Likelihood,
)
from tests.likelihoods.coupled import PixelTable
from tests.sampling.drawn import all_logits

registered = keras.saving.register_keras_serializable(package="fuzz")


# Right. Each has its logits in plain NumPy too, for the honest reference.


class _Drawn(Likelihood):
    """A likelihood with logits of all values."""

    def __init__(self, num_values=4):
        self.num_values = num_values

    def logits(self, params):
        """Return logits `(..., num_values)` of parameters."""
        raise NotImplementedError

    def log_prob(self, params, images):
        params = tf.cast(params, tf.float32)
        return Categorical(self.num_values).log_prob(self.logits(params), images)

    def sample(self, params, uniforms, temperature=1.0):
        logits = self.logits(tf.cast(params, tf.float32))
        return Categorical(self.num_values).sample(logits, uniforms, temperature)

    def get_config(self):
        return {"num_values": self.num_values}


@registered
class Levels(_Drawn):
    """Ordered values, whose logits are a parabola of the value.

    Args:
        num_values: Number of values.
        stretch: Factor of the logits, which a user may change.
    """

    params_size = 2

    def __init__(self, num_values=4, stretch=1.0):
        super().__init__(num_values)
        self.stretch = stretch

    def logits(self, params):
        slope, bend = tf.unstack(params[..., None, :], axis=-1)
        x = tf.linspace(-1.0, 1.0, self.num_values)
        return self.stretch * (slope * x + bend * x**2)

    def numpy_logits(self, params):
        x = np.linspace(-1, 1, self.num_values)
        return self.stretch * (params[..., :1] * x + params[..., 1:] * x**2)

    def get_config(self):
        return {**super().get_config(), "stretch": self.stretch}


@registered
class Binomial(_Drawn):
    """The number of successes of trials with the same probability."""

    params_size = 1

    def logits(self, params):
        k, n = tf.range(float(self.num_values)), self.num_values - 1.0
        counts = tf.math.lgamma(n + 1) - tf.math.lgamma(k + 1)
        return params[..., None] * k + counts - tf.math.lgamma(n - k + 1)

    def numpy_logits(self, params):
        k, n = np.arange(self.num_values), self.num_values - 1
        successes = k * special.log_expit(params[..., None])
        failures = (n - k) * special.log_expit(-params[..., None])
        return np.log(special.comb(n, k)) + successes + failures


@registered
class Truncated(_Drawn):
    """A Poisson distribution of the values in range."""

    params_size = 1

    def logits(self, params):
        k = tf.range(float(self.num_values))
        return params[..., None] * k - tf.math.lgamma(k + 1)

    def numpy_logits(self, params):
        k = np.arange(self.num_values)
        return params[..., None] * k - np.log(special.factorial(k))


@registered
class TwoSoftmaxes(Likelihood):
    """An even mixture, drawn with what the choice leaves of a uniform."""

    num_values, params_size = 3, 6

    def log_prob(self, params, images):
        both = [
            Categorical(3).log_prob(each, images)
            for each in tf.split(params, 2, axis=-1)
        ]
        return tf.reduce_logsumexp(both, axis=0) - np.log(2)

    def sample(self, params, uniforms, temperature=1.0):
        first, second = tf.split(params, 2, axis=-1)
        chosen = tf.where(uniforms[..., None] < 0.5, first, second)
        return Categorical(3).sample(chosen, 2 * uniforms % 1, temperature)

    def numpy_logits(self, params):
        halves = np.split(params, 2, axis=-1)
        return np.log(sum(special.softmax(half, axis=-1) for half in halves))


@registered
class Probabilities(Likelihood):
    """Parameters are probabilities, which the network's last layer sums to 1."""

    num_values, params_size = 4, 4

    def head(self, x, num_colors, convolve):
        x = super().head(x, num_colors, convolve)
        return keras.layers.Softmax(dtype="float32")(x)

    def log_prob(self, params, images):
        return Categorical(4).log_prob(tf.math.log(params), images)

    def sample(self, params, uniforms, temperature=1.0):
        return Categorical(4).sample(tf.math.log(params), uniforms, temperature)

    def numpy_logits(self, params):
        return np.log(params)


@registered
class Mirrored(Bernoulli):
    """A Bernoulli whose logits are those of a 0."""

    def log_prob(self, params, images):
        return super().log_prob(-params, images)

    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(-params, uniforms, temperature)

    def numpy_logits(self, params):
        return np.stack([params, np.zeros_like(params)], axis=-1)


def mixture_log_prob(params, pixel, num_values, num_components):
    """Return nats of a pixel under a mixture of logistics, by its definition.

    In logarithms, since random graphs have parameters of which `exp` overflows.
    """
    params = params.reshape(-1, num_components)
    num_colors = len(pixel)
    pairs = [(c, d) for c in range(num_colors) for d in range(c)]
    pixel = 2 * pixel / (num_values - 1) - 1
    total = special.log_softmax(params[0])
    for c, center in enumerate(pixel):
        mean = params[1 + c].copy()
        log_scale = np.maximum(params[1 + num_colors + c] - 1, -7)
        for d in range(c):
            coefficient = params[1 + 2 * num_colors + pairs.index((c, d))]
            mean += np.tanh(coefficient) * pixel[d]
        low = (center - 1 / (num_values - 1) - mean) * np.exp(-log_scale)
        high = (center + 1 / (num_values - 1) - mean) * np.exp(-log_scale)
        if center == -1:
            total += special.log_expit(high)
        elif center == 1:
            total += special.log_expit(-low)
        else:  # sigmoid(high) - sigmoid(low)
            total += special.log_expit(high) + special.log_expit(-low)
            # log(1 - exp(-width)), which is the width's logarithm for a small one.
            log_width = np.log(2 / (num_values - 1)) - log_scale
            width = np.exp(np.maximum(log_width, -30))
            total += np.where(log_width < -30, log_width, np.log(-np.expm1(-width)))
    return special.logsumexp(total)


def log_prob_of_images(likelihood, params, images):
    """Return nats of images in plain NumPy, float64, `(batch,)`."""
    params, images = np.asarray(params, "float64"), images.astype(int)
    if isinstance(likelihood, DiscretizedLogisticMixture):
        sizes = likelihood.num_values, likelihood.num_components
        nats = np.zeros(images.shape[:3])
        for place in np.ndindex(nats.shape):
            nats[place] = mixture_log_prob(params[place], images[place], *sizes)
        return nats.sum(axis=(1, 2))
    if isinstance(likelihood, PixelTable):
        places = likelihood.num_values ** np.arange(images.shape[-1])[::-1]
        logits, images = params, np.sum(images * places, axis=-1)
    elif hasattr(likelihood, "numpy_logits"):
        logits = likelihood.numpy_logits(params)
    else:
        logits = all_logits(params) if likelihood.params_size == 1 else params
    logs = logits - special.logsumexp(logits, axis=-1, keepdims=True)
    nats = np.take_along_axis(logs, images[..., None], axis=-1)
    return nats.reshape(len(images), -1).sum(axis=-1)


# Wrong, unless an argument makes it right.


@registered
class Unnormalized(Bernoulli):
    """Its probabilities sum to `exp(excess)`, which a user may change."""

    def __init__(self, excess=0.0):
        super().__init__()
        self.excess = excess

    @property
    def is_wrong(self):
        return self.excess != 0

    def log_prob(self, params, images):
        return super().log_prob(params, images) + self.excess

    def get_config(self):
        return {"excess": self.excess}


class _Wrong:
    is_wrong = True
    of_colors = False  # Whether it is wrong for images of several colors alone.


@registered
class OtherLogits(_Wrong, Categorical):
    """Draws from other logits than it scores."""

    def __init__(self, num_values=3, factor=0.5):
        super().__init__(num_values)
        self.factor = factor

    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(self.factor * params, uniforms, temperature)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@registered
class HalfUniforms(_Wrong, Categorical):
    """Draws small values alone."""

    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(params, uniforms / 2, temperature)


@registered
class OneValueLess(_Wrong, Categorical):
    """Never draws its last value, but scores it."""

    def sample(self, params, uniforms, temperature=1.0):
        fewer = Categorical(self.num_values - 1)
        return fewer.sample(params[..., :-1], uniforms, temperature)


@registered
class Floored(_Wrong, Categorical):
    """Improbable values count as less improbable than they are."""

    def log_prob(self, params, images):
        return tf.maximum(super().log_prob(params, images), -2.0)


@registered
class OwnNoise(_Wrong, Bernoulli):
    """Draws with random numbers that no seed decides, all of them or some noise."""

    def __init__(self, stddev=None):
        super().__init__()
        self.stddev = stddev

    def sample(self, params, uniforms, temperature=1.0):
        if self.stddev is None:
            uniforms = tf.random.uniform(tf.shape(uniforms))
        else:
            params += tf.random.normal(tf.shape(params), stddev=self.stddev)
        return super().sample(params, uniforms, temperature)

    def get_config(self):
        return {"stddev": self.stddev}


@registered
class NoisyNats(_Wrong, Bernoulli):
    def log_prob(self, params, images):
        noise = tf.random.normal(tf.shape(params), stddev=0.01)
        return super().log_prob(params + noise, images)


@registered
class OutOfRange(_Wrong, Categorical):
    """Draws values from 1."""

    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(params, uniforms, temperature) + 1


@registered
class Halves(_Wrong, Bernoulli):
    """Draws 0 and a half."""

    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(params, uniforms, temperature) / 2


@registered
class MixedNats(_Wrong, Categorical):
    """Adds a part of the logits of another example, row, column or color."""

    def __init__(self, num_values=3, axis=0):
        super().__init__(num_values)
        self.axis = axis

    @property
    def of_colors(self):
        return self.axis == 3

    def log_prob(self, params, images):
        other = 0.3 * tf.reverse(params, [self.axis])
        return super().log_prob(params + other, images)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


@registered
class MixedDraws(MixedNats):
    """Draws with the uniforms of another example, row, column or color."""

    log_prob = Categorical.log_prob

    def sample(self, params, uniforms, temperature=1.0):
        axis = self.axis if len(uniforms.shape) == 4 else 0
        uniforms = tf.reverse(uniforms, [axis])
        return Categorical.sample(self, params, uniforms, temperature)


@registered
class MeanOfImages(_Wrong, Bernoulli):
    """Its nats of images are means over sub-pixels."""

    def log_prob_of_images(self, params, images):
        return tf.reduce_mean(self.log_prob(params, images), axis=(1, 2, 3))


@registered
class IgnoresTemperature(_Wrong, Bernoulli):
    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(params, uniforms)


@registered
class OtherDigits(_Wrong, PixelTable):
    """Scores the colors of a pixel in another order than it draws them."""

    of_colors = True

    def log_prob(self, params, images):
        return super().log_prob(params, images[..., ::-1])


INDEPENDENT = [
    lambda: Levels(3),
    lambda: Levels(5, -1.5),
    lambda: Binomial(3),
    lambda: Binomial(6),
    lambda: Truncated(4),
    TwoSoftmaxes,
    Probabilities,
    Mirrored,
    Unnormalized,
]
RIGHT = [*INDEPENDENT, lambda: PixelTable(2), lambda: PixelTable(2)]
WRONG = [
    *(lambda excess=excess: Unnormalized(excess) for excess in (0.4, -0.1, 0.01)),
    *(lambda factor=factor: OtherLogits(4, factor) for factor in (0.5, 0.93, 1.1)),
    lambda: HalfUniforms(3),
    lambda: OneValueLess(3),
    lambda: Floored(5),
    OwnNoise,
    lambda: OwnNoise(0.02),
    NoisyNats,
    lambda: OutOfRange(3),
    Halves,
    *(lambda axis=axis: MixedNats(3, axis) for axis in range(4)),
    *(lambda axis=axis: MixedDraws(3, axis) for axis in range(4)),
    MeanOfImages,
    IgnoresTemperature,
    lambda: OtherDigits(2),
]
