"""The smallest model of images, for tests of training."""

import keras
from keras import layers

from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import AutoregressiveModel


def one_convolution(shape, kind=AutoregressiveModel, conditions=(), **options):
    """Return a causal model of one convolution, which need not be checked.

    It adds any `conditions`, which are `keras.Input`s: numbers, vectors or maps.
    """
    images = keras.Input(shape, name="images")
    logits = MaskedConv2D(1, 3, "A", dtype="float32")(images)
    for condition in conditions:
        values = layers.Rescaling(1.0)(condition)
        if len(condition.shape) < 4:
            values = layers.Reshape((1, 1, -1))(values)
        logits += layers.Dense(1)(values)
    inputs = [images, *conditions] if conditions else images
    model = kind(inputs, logits, name="cnn", **options)
    model.check_causality = False
    return model
