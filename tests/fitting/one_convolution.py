"""The smallest model of images, for tests of training."""

import keras

from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import AutoregressiveModel


def one_convolution(shape, kind=AutoregressiveModel, name="cnn"):
    """Return a causal model of one convolution, which need not be proven."""
    images = keras.Input(shape, name="images")
    logits = MaskedConv2D(1, 3, "A", dtype="float32")(images)
    model = kind(images, logits, name=name)
    model.check_causality = False
    return model
