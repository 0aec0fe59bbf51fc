"""Leaks that a model has in training alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_genimg.causality import first_leak
from tests.causality.wired import wired

IMAGES = np.random.default_rng(0).integers(2, size=(8, 6, 6, 1)).astype("uint8")


def model_with(layer):
    model = wired(layer, shape=(6, 6, 1))
    model.sampling_method = "fixed_point"
    return model


class Ahead(layers.Layer):
    """Gives each pixel the features of the next one, in training."""

    def call(self, x, training=False):
        return tf.roll(x, -1, axis=2) if training else x


class Centered(layers.Layer):
    """Subtracts the mean of the batch, in training."""

    def call(self, x, training=False):
        return x - tf.reduce_mean(x) if training else x


class Noise(layers.Layer):
    """Adds noise of TensorFlow's or of NumPy's generator, in training."""

    def __init__(self, is_numpy):
        super().__init__()
        self.is_numpy = is_numpy

    def call(self, x, training=False):
        if not training:
            return x
        if self.is_numpy:
            return x + np.random.default_rng().normal()
        return x + tf.random.normal(tf.shape(x))


LEAKS = {
    "translation": lambda: layers.RandomTranslation(0.3, 0.3, name="guilty"),
    "flip": lambda: layers.RandomFlip("horizontal", name="guilty"),
    "rotation": lambda: layers.RandomRotation(0.2, name="guilty"),
    "branch": lambda: Ahead(name="guilty"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_training_refuses_it_and_inference_does_not(name):
    model = model_with(LEAKS[name]())
    model.evaluate(IMAGES, verbose=0)
    text = "In training, changing.* 'guilty'.*before they enter the model"
    for train in (
        lambda: model.fit(IMAGES, verbose=0),
        lambda: model.train_on_batch(IMAGES),
        lambda: model.train_step((tf.constant(IMAGES),)),
    ):
        with pytest.raises(ValueError, match=text):
            train()


HARMLESS = {
    "dropout": lambda: layers.Dropout(0.5),
    "noise of Keras": lambda: layers.GaussianNoise(0.3),
    "noise of TensorFlow": lambda: Noise(is_numpy=False),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_noise_in_training_is_no_leak(name):
    model = model_with(HARMLESS[name]())
    numbers = [tf.random.get_global_generator().state.numpy(), np.random.get_state()[1]]
    assert first_leak(model, training=True) is None
    again = [tf.random.get_global_generator().state.numpy(), np.random.get_state()[1]]
    for before, after in zip(numbers, again, strict=True):
        np.testing.assert_array_equal(before, after)
    model.fit(IMAGES, verbose=0)


def test_noise_that_cannot_be_repeated_is_named():
    with pytest.warns(UserWarning, match="noise of its layers cannot be repeated"):
        first_leak(model_with(Noise(is_numpy=True)), training=True)


def test_statistics_of_the_batch_are_named_and_other_leaks_found():
    text = "BatchNormalization 'statistics'.*statistics of the batch"
    normalization = layers.BatchNormalization(name="statistics")
    normalization.build((None, 6, 6, 9))
    normalization.gamma.trainable = False
    model = model_with(normalization)
    with pytest.warns(UserWarning, match=text):
        model.fit(IMAGES, verbose=0)
    # They are frozen for the check alone, each variable as it was.
    assert normalization.trainable and normalization.beta.trainable
    assert not normalization.gamma.trainable
    with pytest.warns(UserWarning, match=text):
        model = model_with(
            keras.Sequential([layers.BatchNormalization(name="statistics"), Ahead()])
        )
        leak = first_leak(model, training=True)
    assert leak is not None and leak.in_training
    with pytest.warns(UserWarning, match="A layer of wired mixes the images"):
        assert first_leak(model_with(Centered()), training=True) is None


def test_a_frozen_normalization_passes():
    model = model_with(layers.BatchNormalization(trainable=False))
    assert first_leak(model, training=True) is None
