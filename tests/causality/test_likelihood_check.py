"""Likelihoods whose samples do not have their probabilities are refused."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality.likelihood_check import check_likelihood
from keras_genimg.likelihoods import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    Gaussian,
    Likelihood,
)
from tests.likelihoods.coupled import PixelTable
from tests.seldom import slow_but

MIXTURE = DiscretizedLogisticMixture


class Table(Likelihood):
    """Three binary colors, as in the docstring of `Likelihood`."""

    num_values, couples_colors = 2, True

    def params_shape(self, image_shape):
        return (*image_shape[:2], 8)

    def log_prob(self, params, images):
        index = tf.reduce_sum(tf.cast(images, tf.float32) * [4, 2, 1], -1)
        return Categorical(8).log_prob(params, index)

    def sample(self, params, uniforms, temperature=1.0):
        logits = params / temperature
        index = Categorical(8).sample(logits, uniforms[..., 0])
        return index[..., None] // [4, 2, 1] % 2


class ByComponents(Likelihood):
    """A mixture of two softmaxes, drawn with what the choice leaves of a uniform."""

    num_values, params_size = 3, 6

    def log_prob(self, params, images):
        first, second = tf.split(params, 2, axis=-1)
        both = [Categorical(3).log_prob(each, images) for each in (first, second)]
        return tf.reduce_logsumexp(both, axis=0) - np.log(2)

    def sample(self, params, uniforms, temperature=1.0):
        first, second = tf.split(params, 2, axis=-1)
        chosen = tf.where(uniforms[..., None] < 0.5, first, second)
        return Categorical(3).sample(chosen, 2 * uniforms % 1)


class Probabilities(Likelihood):
    """Parameters are probabilities, which the network's last layer sums to 1."""

    num_values, params_size = 4, 4

    def head(self, x, num_colors, convolve):
        return keras.layers.Softmax()(super().head(x, num_colors, convolve))

    def log_prob(self, params, images):
        return Categorical(4).log_prob(tf.math.log(params), images)

    def sample(self, params, uniforms, temperature=1.0):
        return Categorical(4).sample(tf.math.log(params), uniforms, temperature)


RIGHT = [
    *((Bernoulli(), colors) for colors in (1, 3)),
    *((Categorical(n), colors) for n in (2, 17, 256, 1000) for colors in (1, 3)),
    *((MIXTURE(256, 10), colors) for colors in (1, 2, 3)),
    *((MIXTURE(4, 2), colors) for colors in (1, 3)),
    (PixelTable(), 2),
    (Table(), 3),
    (ByComponents(), 2),
    (Probabilities(), 3),
]
FAST = [each for each in RIGHT if each[1] == 3 or not isinstance(each[0], MIXTURE)]


@pytest.mark.parametrize("case", slow_but(RIGHT, *FAST), ids=str)
def test_right_ones_pass(case):
    assert check_likelihood(*case) is None


def test_real_intensities_are_not_checked():
    check_likelihood(Gaussian(), 3)
    check_likelihood(Bernoulli(intensities=True), 1)


# Faults. The methods are those of a right likelihood, with one change.


class Unnormalized(Bernoulli):
    def log_prob(self, params, images):
        return super().log_prob(params, images) + 0.01


class Logits(Categorical):
    def log_prob(self, params, images):
        chosen = tf.one_hot(tf.cast(images, tf.int32), self.num_values)
        return tf.reduce_sum(params * chosen, axis=-1)


class OneValueLess(Categorical):
    """The last logit is not used, but counted."""

    def sample(self, params, uniforms, temperature=1.0):
        return Categorical(self.num_values - 1).sample(params[..., :-1], uniforms)


class OtherLogits(Categorical):
    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(1.05 * params, uniforms, temperature)


class Random(Bernoulli):
    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(params, tf.random.uniform(uniforms.shape), temperature)


class SlightlyRandom(Bernoulli):
    def sample(self, params, uniforms, temperature=1.0):
        noise = tf.random.normal(tf.shape(params), stddev=0.02)
        return super().sample(params + noise, uniforms, temperature)


class RandomLogits(Bernoulli):
    def log_prob(self, params, images):
        noise = tf.random.normal(tf.shape(params), stddev=0.01)
        return super().log_prob(params + noise, images)


class FromOne(Categorical):
    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(params, uniforms, temperature) + 1


class Grays(Bernoulli):
    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(params, uniforms, temperature) / 2


class MixesExamples(Bernoulli):
    def log_prob(self, params, images):
        return super().log_prob(params - tf.reduce_mean(params, axis=0), images)


class MixesRows(Bernoulli):
    def log_prob(self, params, images):
        return super().log_prob(params + 0.1 * params[:, ::-1], images)


class SeesColumnsBefore(Bernoulli):
    def log_prob(self, params, images):
        return super().log_prob(tf.cumsum(params, axis=2), images)


class DrawsMixedColumns(Categorical):
    """Right in images of one column."""

    def sample(self, params, uniforms, temperature=1.0):
        if params.shape.rank == 5 and uniforms.shape[2] == 2:
            uniforms = uniforms[:, :, ::-1]
        return super().sample(params, uniforms, temperature)


class MixesColors(Categorical):
    def log_prob(self, params, images):
        return super().log_prob(params * (1 + images[..., ::-1, None]), images)


class DrawsMixedColors(Categorical):
    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(params, uniforms[..., ::-1], temperature)


class ImagesOnly(Categorical):
    def sample(self, params, uniforms, temperature=1.0):
        if params.shape.rank == 3:
            uniforms = 1 - 2.0**-24 - uniforms
        return super().sample(params, uniforms, temperature)


class PixelsOnly(Categorical):
    """Single sub-pixels have the parameters of the first color."""

    scale = np.array([[1.0], [0.5], [2.0]], "float32")

    def log_prob(self, params, images):
        return super().log_prob(params * self.scale, images)

    def sample(self, params, uniforms, temperature=1.0):
        scale = self.scale[: params.shape[-2]]
        return super().sample(params * scale, uniforms, temperature)


class OfPixels(Bernoulli):
    def log_prob(self, params, images):
        return tf.reduce_sum(super().log_prob(params, images), axis=-1)


class OfColors(Table):
    def log_prob(self, params, images):
        return super().log_prob(params, images)[..., None]


class OneColor(Table):
    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(params, uniforms, temperature)[..., :1]


class OnlyColors(Table):
    def params_shape(self, image_shape):
        return (8,)


class MeanOfImages(Bernoulli):
    def log_prob_of_images(self, params, images):
        return tf.reduce_mean(self.log_prob(params, images), axis=(1, 2, 3))


class TimesTemperature(Categorical):
    def at_temperature(self, params, temperature):
        return params * temperature[..., None]

    def sample(self, params, uniforms, temperature=1.0):
        return Categorical(self.num_values).sample(params, uniforms, temperature)


class IgnoresTemperature(Bernoulli):
    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(params, uniforms)


class FirstTemperature(Bernoulli):
    """Right in batches that have the same temperature."""

    def sample(self, params, uniforms, temperature=1.0):
        temperature = tf.reshape(temperature, (-1,))[-1 if params.shape.rank > 2 else 0]
        return super().sample(params, uniforms, temperature)


class OtherDigits(Table):
    def log_prob(self, params, images):
        return super().log_prob(params, images[..., ::-1])


class NoProbabilities(Probabilities):
    """Probabilities without the head that makes them."""

    head = Likelihood.head


class OtherCoefficients(MIXTURE):
    def sample(self, params, uniforms, temperature=1.0):
        keep = np.arange(params.shape[-1]) < params.shape[-1] - self.num_components
        return super().sample(params * keep, uniforms, temperature)


class MoreMixture(MIXTURE):
    def log_prob(self, params, images):
        return super().log_prob(params, images) + 0.02


class WarmMixture(MIXTURE):
    def at_temperature(self, params, temperature):
        return super().at_temperature(params, temperature**0.9)

    def sample(self, params, uniforms, temperature=1.0):
        return MIXTURE(self.num_values, self.num_components).sample(
            params, uniforms, temperature
        )


class Broken(Bernoulli):
    def sample(self, params, uniforms, temperature=1.0):
        return tf.reshape(uniforms, (7,))


class BrokenHead(Bernoulli):
    def head(self, x, num_colors, convolve):
        return keras.layers.Reshape((5,))(x)


class NoSample(Likelihood):
    num_values, params_size = 3, 3
    log_prob = Categorical.log_prob


SUM = "must sum to 1. Received: a sum of"
DRAWS = "`sample` does not follow the probabilities of `log_prob`"
AGAIN = "when it was called again with the same arguments"
FAULTS = [
    (Unnormalized(), 1, f"2 values of a sub-pixel {SUM} 1.01005"),
    (Logits(4), 1, SUM),
    (OneValueLess(4), 1, f"{DRAWS}: with evenly spaced uniforms, a share of"),
    (OtherLogits(4), 3, DRAWS),
    (OtherLogits(256), 1, DRAWS),
    (OtherLogits(1000), 1, f"{DRAWS}: the value "),
    (Random(), 1, f"`sample` returned other pixels {AGAIN}"),
    (SlightlyRandom(), 1, f"`sample` returned other pixels {AGAIN}"),
    (RandomLogits(), 1, f"`log_prob` returned other values {AGAIN}"),
    (FromOne(4), 1, "`sample` must return integers from 0 to 3"),
    (Grays(), 1, "since `num_values` is 2. Received: 0.5"),
    (MixesExamples(), 1, "`log_prob` mixes examples"),
    (MixesRows(), 1, "`log_prob` mixes rows"),
    (SeesColumnsBefore(), 1, "`log_prob` mixes columns"),
    (DrawsMixedColumns(9), 1, "`sample` mixes columns"),
    (MixesColors(4), 2, "`log_prob` mixes colors"),
    (DrawsMixedColors(9), 3, "or set `couples_colors = True`"),
    (ImagesOnly(9), 1, "`sample` returns other values for single pixels"),
    (PixelsOnly(9), 3, "for single sub-pixels, parameters (24, 1, 9)"),
    (OfPixels(), 3, "shape of `images`: (1, 1, 2048, 3). Received: (1, 1, 2048)"),
    (OfColors(), 3, "since `couples_colors` is True: (1, 1, 2048)"),
    (OneColor(), 3, "`sample` must return the shape of `uniforms`: (1, 1, 2048, 3)"),
    (OnlyColors(), 3, "`params_shape((1, 1, 3))` must return a tuple that begins"),
    (MeanOfImages(), 1, "`log_prob_of_images` must return sums of `log_prob`"),
    (TimesTemperature(4), 1, f"{DRAWS} at temperature 0.7"),
    (IgnoresTemperature(), 1, "`at_temperature` must return the parameters of"),
    (FirstTemperature(), 1, "at the temperatures (0.7, 1.5)"),
    (OtherDigits(), 3, f"{DRAWS}: with evenly spaced uniforms"),
    (NoProbabilities(), 1, "call `tf.exp` or `tf.nn.softmax` in the methods"),
    (OtherCoefficients(4, 2), 3, DRAWS),
    (OtherCoefficients(256, 2), 3, DRAWS),
    (MoreMixture(256, 2), 3, DRAWS),
    (WarmMixture(256, 2), 3, f"{DRAWS} at temperature 0.7"),
    (Broken(), 1, "`sample` of Broken must work for the arguments in the docstring"),
    (BrokenHead(), 1, "`head` of BrokenHead must work for"),
    (NoSample(), 1, "It raised NotImplementedError"),
]


@pytest.mark.parametrize(
    "likelihood, num_colors, words",
    FAULTS,
    ids=[type(likelihood).__name__ for likelihood, *_ in FAULTS],
)
def test_faults_are_refused_and_named(likelihood, num_colors, words):
    with pytest.raises(ValueError) as caught:
        check_likelihood(likelihood, num_colors)
    text = str(caught.value)
    assert words in text and type(likelihood).__name__ in text


# What is remembered.


def counting():
    """Return a class like `Bernoulli`, and a list of the calls of its `log_prob`."""
    calls = []

    class Counting(Bernoulli):
        offset = 0.0

        def log_prob(self, params, images):
            calls.append(params)
            return super().log_prob(params, images) + self.offset

    return Counting, calls


def is_refused(likelihood, num_colors=1):
    try:
        check_likelihood(likelihood, num_colors)
    except ValueError:
        return True
    return False


def test_a_class_with_its_attributes_is_checked_once():
    kind, calls = counting()
    check_likelihood(kind(), 1)
    once = len(calls)
    assert once > 0
    check_likelihood(kind(), 1)
    assert len(calls) == once
    check_likelihood(kind(), 3)
    assert len(calls) > once
    check_likelihood(counting()[0](), 1)  # Another class of the same name.
    wrong = kind()
    wrong.offset = 0.1  # Its configuration lacks this.
    assert wrong == kind() and is_refused(wrong) and is_refused(wrong)
    wrong.offset = np.float32(0.1)
    assert is_refused(wrong)
    wrong.offset = tf.constant(0.1)
    assert is_refused(wrong)
    check_likelihood(kind(), 1)
    kind.offset = 0.1
    assert is_refused(kind())


def test_methods_that_are_replaced_are_checked():
    kind, _ = counting()
    check_likelihood(kind(), 1)
    kind.log_prob = lambda self, params, images: -tf.ones_like(images)
    assert is_refused(kind())


def test_objects_that_cannot_be_compared_are_checked_one_by_one():
    kind, calls = counting()
    likelihood, other = kind(), kind()
    likelihood.layer, other.layer = keras.layers.Dense(1), keras.layers.Dense(1)
    check_likelihood(likelihood, 1)
    once = len(calls)
    check_likelihood(likelihood, 1)
    assert len(calls) == once
    check_likelihood(other, 1)
    assert len(calls) == 2 * once
    wrong = kind()
    wrong.layer, wrong.offset = likelihood.layer, 0.1
    assert is_refused(wrong)


# These are the places that call the check.


def test_while_the_caller_is_traced():
    kind, calls = counting()

    @tf.function
    def function(x):
        check_likelihood(kind(), 1)
        assert is_refused(Unnormalized())
        return x + 1

    graph = function.get_concrete_function(tf.zeros(())).graph
    assert len(graph.get_operations()) < 10
    assert calls and not any(map(tf.is_symbolic_tensor, calls))


STRATEGIES = {
    "one": lambda: tf.distribute.OneDeviceStrategy("CPU:0"),
    "mirrored": lambda: tf.distribute.MirroredStrategy(["CPU:0"]),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_under_a_strategy(name):
    strategy, (kind, calls) = STRATEGIES[name](), counting()
    with strategy.scope():
        check_likelihood(kind(), 1)
        assert is_refused(Unnormalized())
    once = len(calls)
    assert once > 0

    @tf.function
    def step():
        check_likelihood(kind(), 3)
        return tf.zeros(())

    strategy.run(step)
    assert len(calls) > once


def test_random_numbers_of_the_caller_stay_the_same():
    def numbers(check):
        keras.utils.set_random_seed(1)
        if check:
            Again = type("Again", (Probabilities,), {})
            check_likelihood(Again(), 1)
        layer = keras.layers.Dense(2)
        layer.build((None, 2))
        return np.random.rand(), tf.random.normal(()).numpy(), layer.kernel.numpy()

    for found, expected in zip(numbers(True), numbers(False), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "likelihood, num_colors, seconds",
    [(Bernoulli(), 1, 1), (Categorical(256), 3, 1), (MIXTURE(256, 10), 3, 2)],
    ids=str,
)
def test_cost(likelihood, num_colors, seconds):
    """In seconds of a core, since other processes may run beside the test."""
    check_likelihood(Bernoulli(), 2)  # TensorFlow has started.
    kind = type("Again", (type(likelihood),), {})
    start = time.process_time()
    check_likelihood(kind(**likelihood.get_config()), num_colors)
    assert time.process_time() - start < seconds
