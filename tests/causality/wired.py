"""A small model with a test's layers in the middle."""

import keras

from keras_genimg.layers import MaskedConv2D, SplitColors
from keras_genimg.models import AutoregressiveModel


def wired(
    middle=lambda x: x,
    shape=(4, 5, 1),
    mask="A",
    conditions=(),
    likelihood="bernoulli",
    **first,
):
    """Return a compiled model of two masked convolutions with others in between.

    `middle` is called with the output of the first one, whose `mask` may leak and which
    has the arguments `first`, and with `conditions`, further inputs.
    """
    colors = shape[-1]
    images = keras.Input(shape, name="images")
    options = {"num_colors": colors, "activation": "tanh", "name": "first"}
    x = MaskedConv2D(9, 3, mask, **{**options, **first})(images)
    x = middle(x, *conditions)
    options = {"num_colors": colors, "dtype": "float32"}
    if likelihood == "bernoulli":
        x = MaskedConv2D(colors, 1, "B", **options)(x)
    else:
        x = MaskedConv2D(colors * likelihood.num_values, 1, "B", **options)(x)
        x = SplitColors(colors)(x)
    inputs = [images, *conditions] if conditions else images
    model = AutoregressiveModel(inputs, x, likelihood, name="wired")
    model.compile("adam")
    return model
