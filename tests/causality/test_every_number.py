"""A graph is checked before each number that is computed with it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_genimg.causality.likelihood_check import check_likelihood
from keras_genimg.layers import MaskedConv2D
from keras_genimg.likelihoods import Bernoulli
from keras_genimg.models import VAE, AutoregressiveModel
from tests.causality.wired import wired
from tests.inputs.sources import SOURCES, dataset

IMAGES = np.random.default_rng(0).integers(2, size=(4, 4, 5, 1)).astype("uint8")


class Noise(layers.Layer):
    """Adds noise that no seed decides, in inference too."""

    def call(self, x):
        return x + tf.random.normal(tf.shape(x))


class Counter(layers.Layer):
    """Multiplies by the number of its calls, or only counts them."""

    def __init__(self, multiplies, **kwargs):
        super().__init__(**kwargs)
        self.multiplies = multiplies

    def build(self, input_shape):
        self.calls = self.add_weight(trainable=False, initializer="zeros", name="calls")

    def call(self, x):
        self.calls.assign(self.calls + 1)
        return x * self.calls if self.multiplies else x


@pytest.mark.parametrize("layer", [Noise(name="guilty"), Counter(True, name="guilty")])
def test_graphs_that_do_not_compute_the_same_twice_are_refused(layer):
    model = wired(layer)
    text = f"does not compute the same twice.*{type(layer).__name__} 'guilty'"
    for number in (model.log_prob, model.test_on_batch):
        with pytest.raises(ValueError, match=text):
            number(IMAGES)


def test_a_state_that_changes_no_number_is_allowed():
    model = wired(Counter(False))
    model.sampling_method = "fixed_point"
    before = model.log_prob(IMAGES)
    np.testing.assert_array_equal(before, model.log_prob(IMAGES))


def test_the_state_of_a_recurrent_layer_is_named():
    images = keras.Input(batch_shape=(2, 4, 4, 1))
    x = MaskedConv2D(8, 3, mask_type="A")(images)
    x = layers.Reshape((16, 8))(x)
    x = layers.LSTM(8, return_sequences=True, stateful=True, name="guilty")(x)
    x = layers.Reshape((4, 4, 8))(x)
    params = MaskedConv2D(1, 1, mask_type="B")(x)
    model = AutoregressiveModel(images, params, sampling_method="fixed_point")
    with pytest.raises(ValueError, match="keep a state.*LSTM 'guilty'"):
        model.generate(2, seed=0)


# Models of any size, whose middle convolution sees the future in images from 9 pixels.


def of_any_size():
    far = layers.Conv2D(6, 3, padding="same", dilation_rate=8, name="guilty")
    model = wired(far, shape=(None, None, 1))
    model.sampling_method = "fixed_point"
    return model


def squares(*sizes):
    return [np.zeros((2, size, size, 1), "float32") for size in sizes]


def unknown(*sizes):
    """Return a data set that does not know the sizes of its images."""
    return dataset(squares(*sizes))


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("source", SOURCES)
def test_training_checks_each_size_that_a_source_turns_out_to_have(source):
    model, make = of_any_size(), SOURCES[source]
    model.fit(make(squares(8, 8)), verbose=0)
    with pytest.raises(ValueError, match="Conv2D 'guilty'"):
        model.fit(make(squares(9, 9)), verbose=0)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("steps", [1, 3])
def test_sizes_that_change_in_the_course_of_an_epoch(steps):
    model = of_any_size()
    model.compile("adam", steps_per_execution=steps)
    model.fit(unknown(8, 7, 6), verbose=0)
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="Conv2D 'guilty'"):
            call(unknown(8, 9, 8), verbose=0)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_training_checks_new_sizes_after_an_evaluation():
    model = of_any_size()
    model.fit(unknown(8), verbose=0)
    model.evaluate(unknown(8), verbose=0)
    with pytest.raises(ValueError, match="Conv2D 'guilty'"):
        model.fit(unknown(9), verbose=0)


class InTraining(layers.Conv2D):
    """A convolution that acts in training alone."""

    def call(self, x, training=False):
        return x + super().call(x) if training else x


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_training_checks_a_size_that_evaluation_has_checked():
    far = InTraining(9, 3, padding="same", dilation_rate=8, name="guilty")
    model = wired(far, shape=(None, None, 1))
    with pytest.raises(ValueError, match="InTraining 'guilty'"):
        model.fit(
            unknown(8, 9),
            epochs=2,
            steps_per_epoch=1,
            validation_data=unknown(9),
            verbose=0,
        )


def test_numbers_of_batches_of_another_size():
    model = of_any_size()
    step = {
        "log_prob": lambda images: model.log_prob(tf.data.Dataset.from_tensors(images)),
        "train_on_batch": model.train_on_batch,
        "train_step": lambda images: model.train_step((tf.constant(images),)),
    }
    small, large = squares(8, 9)
    for call in step.values():
        call(small)
        with pytest.raises(ValueError, match="Conv2D 'guilty'"):
            call(large)


# What is watched.


class Block(keras.Model):
    """A model of its own `call` inside of another."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = MaskedConv2D(9, 3, "B")
        self.leak, self.gain = 0.0, 1.0

    def call(self, x):
        x = self.convolution(x) * self.gain
        return x + self.leak * tf.roll(x, -1, axis=2) if self.leak else x


def test_attributes_of_a_block_that_is_a_model_are_watched():
    block = Block(name="guilty")
    model = wired(block)
    for call in (model.log_prob, lambda _: model.generate(8, seed=0)):
        block.gain = 1.0
        before = call(IMAGES)
        block.gain = -4.0
        assert (call(IMAGES) != before).any()
    block.leak = 1.0
    with pytest.raises(ValueError, match="is not causal"):
        model.log_prob(IMAGES)


def test_training_and_evaluation_watch_attributes_too():
    model = wired(block := Block())
    model.compile(keras.optimizers.SGD(0.0))
    calls = {
        "evaluate": lambda: model.evaluate(IMAGES, verbose=0)[0],
        "test_on_batch": lambda: model.test_on_batch(IMAGES)[0],
        "fit": lambda: model.fit(IMAGES, verbose=0).history["loss"][0],
        "train_on_batch": lambda: model.train_on_batch(IMAGES)[0],
        "predict": lambda: model.predict(IMAGES, verbose=0).mean(),
    }
    before = {name: call() for name, call in calls.items()}
    assert before == {name: call() for name, call in calls.items()}
    block.gain = -4.0
    expected = -model.log_prob(IMAGES).mean()
    after = {name: call() for name, call in calls.items()}
    assert after.pop("predict") != before["predict"]
    np.testing.assert_allclose(list(after.values()), expected, rtol=1e-5)


def test_training_is_not_traced_again_without_a_change():
    model = wired(Block())
    model.train_on_batch(IMAGES)
    model.test_on_batch(IMAGES)
    functions = model.train_function, model.test_function
    model.fit(IMAGES, verbose=0)
    model.evaluate(IMAGES, verbose=0)
    assert (model.train_function, model.test_function) == functions


class Steep(Bernoulli):
    """Multiplies its logits by a number."""

    slope = 1.0

    def log_prob(self, params, images):
        return super().log_prob(self.slope * params, images)

    def sample(self, params, uniforms, temperature=1.0):
        return super().sample(self.slope * params, uniforms, temperature)

    def at_temperature(self, params, temperature):
        return super().at_temperature(params, temperature)


def test_attributes_of_a_likelihood_are_watched():
    model = wired(lambda x: 9 * x)
    model.likelihood = Steep()
    model.compile("sgd")
    calls = {
        "log_prob": lambda: model.log_prob(IMAGES),
        "evaluate": lambda: model.evaluate(IMAGES, verbose=0)[0],
        "generate": lambda: model.generate(8, seed=0),
    }
    for call in calls.values():
        call()
    model.likelihood.slope = -3.0
    found = {name: call() for name, call in calls.items()}
    model.likelihood = Steep()
    model.likelihood.slope = -3.0
    model.compile("sgd")
    for name, call in calls.items():
        np.testing.assert_allclose(found[name], call(), rtol=1e-5, err_msg=name)


class Unseeded(Bernoulli):
    """Has noise of its own, which happens to change no pixel."""

    def sample(self, params, uniforms, temperature=1.0):
        noise = 0 * tf.random.uniform(tf.shape(uniforms))
        return super().sample(params, uniforms + noise, temperature)


@pytest.mark.parametrize("method", ["incremental", "fixed_point"])
def test_a_sampler_has_no_noise_that_no_seed_decides(method):
    model = wired()
    model.likelihood = Unseeded()
    check_likelihood(model.likelihood, 1)  # It sees values alone.
    with pytest.raises(ValueError, match="tf.random.*RandomUniform"):
        model.generate(4, method=method)


# Likelihoods.


class Unnormalized(Bernoulli):
    def log_prob(self, params, images):
        return super().log_prob(params, images) + 0.1


PIXELS = {
    "fit": lambda model, path: model.fit(IMAGES, verbose=0),
    "log_prob": lambda model, path: model.log_prob(IMAGES),
    "evaluate": lambda model, path: model.evaluate(IMAGES, verbose=0),
    "generate": lambda model, path: model.generate(1),
    "ancestral": lambda model, path: model.generate(1, method="ancestral"),
    "export": lambda model, path: model.export(path / "model", verbose=False),
}
LATENTS = {
    name: call for name, call in PIXELS.items() if name not in ("ancestral",)
} | {
    "elbo": lambda model, path: model.elbo(IMAGES),
    "reconstruct": lambda model, path: model.reconstruct(IMAGES),
}


def autoregressive():
    model = wired()
    model.likelihood = Unnormalized()
    return model


def latent():
    model = VAE((4, 5, 1), 2, hidden_units=4, likelihood=Unnormalized())
    model.compile("adam")
    return model


@pytest.mark.parametrize(
    ("make", "call"),
    [
        *((autoregressive, call) for call in PIXELS.values()),
        *((latent, call) for call in LATENTS.values()),
    ],
    ids=[*PIXELS, *(f"latent {name}" for name in LATENTS)],
)
def test_the_likelihood_is_checked_before(make, call, tmp_path):
    with pytest.raises(ValueError, match="Unnormalized.*must sum to 1"):
        call(make(), tmp_path)


@pytest.mark.parametrize("name", ["generate", "ancestral", "log_prob", "evaluate"])
def test_the_likelihood_is_checked_with_the_switch_off(name, tmp_path):
    model = autoregressive()
    model.check_causality = False
    with pytest.raises(ValueError, match="Unnormalized.*must sum to 1"):
        PIXELS[name](model, tmp_path)
