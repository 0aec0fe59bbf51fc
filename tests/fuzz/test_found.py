"""The smallest forms of faults that random graphs have found."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_genimg.layers import (
    DiagonalBiLSTM,
    MaskedConv2D,
    ResidualMaskedConvBlock,
)
from keras_genimg.models import AutoregressiveModel
from tests.fuzz.own_layers import Above, Left, Noisy
from tests.sampling.drawn import assert_ancestral

SHAPE = (3, 4, 1)


def model_of(middle, dtype):
    images = keras.Input(SHAPE, name="images")
    x = middle(MaskedConv2D(4, 3, "A", dtype=dtype)(images))
    logits = MaskedConv2D(1, 1, "B", dtype="float32")(x)
    return AutoregressiveModel(images, logits)


def assert_right(model):
    assert_ancestral(model, model.generate(4, seed=0, verbose=0), slack=0.06)


# Of a model in half precision, a twin in float32 is made.


@pytest.mark.slow
def test_half_precision_with_lora_in_a_block():
    model = model_of(ResidualMaskedConvBlock(2), dtype="mixed_bfloat16")
    for layer in model._flatten_layers():
        if isinstance(layer, MaskedConv2D):
            layer.enable_lora(1)
    assert_right(model)


@pytest.mark.slow
def test_half_precision_with_a_layer_and_an_operation_of_one_name():
    assert_right(
        model_of(
            lambda x: layers.Multiply()([x, 2 * x]) + layers.Add()([x, x]),
            dtype="mixed_bfloat16",
        )
    )


# A layer casts its inputs, and so must the sampler.


@pytest.mark.slow
@pytest.mark.parametrize("layer", [Above, Left])
@pytest.mark.parametrize(
    "images_dtype, dtype", [("float32", "mixed_bfloat16"), ("float64", "float32")]
)
def test_a_users_layer_on_another_dtype(layer, images_dtype, dtype):
    images = keras.Input(SHAPE, dtype=images_dtype, name="images")
    x = MaskedConv2D(4, 3, "B", dtype=dtype)(layer(dtype=dtype)(images))
    logits = MaskedConv2D(1, 1, "B", dtype="float32")(x)
    assert_right(AutoregressiveModel(images, logits))


@pytest.mark.slow
def test_a_constant_of_float64():
    constant = np.linspace(-1, 1, 4).reshape(1, 1, 1, 4)
    assert_right(model_of(lambda x: x + ops.multiply(x, constant), dtype="float32"))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(4,), (4, 4), (3, 4, 1), (3, 1, 4)])
def test_a_constant_of_fewer_axes_than_a_map(shape):
    constant = np.linspace(-1, 1, int(np.prod(shape))).reshape(shape).astype("float32")
    assert_right(model_of(lambda x: ops.arctan2(x, 2 + x * x) + constant, "float32"))


# Noise may be hidden from the proof, or drawn in two loops.


def test_noise_on_a_condition_behind_a_minimum():
    images, point = keras.Input(SHAPE, name="images"), keras.Input((1, 1, 4))
    x = MaskedConv2D(4, 3, "A")(images)
    x = ops.minimum(x, 1e6 + Noisy(always=True, name="noisy")(point))
    model = AutoregressiveModel([images, point], MaskedConv2D(1, 1, "B")(x))
    with pytest.raises(ValueError, match="from its seed.*Received: Noisy 'noisy'"):
        model.generate(1, conditions=np.zeros((1, 1, 1, 4)), verbose=0)


class GlobalNoise(layers.Layer):
    """Draws from the generator that `keras.utils.set_random_seed` seeds."""

    pointwise = True

    def call(self, inputs):
        return inputs + keras.random.normal((4,))


@pytest.mark.parametrize(
    "noise, named",
    [(Noisy(always=True, name="noisy"), "Noisy 'noisy'"), (GlobalNoise(), "a graph")],
    ids=["own", "global"],
)
def test_noise_in_a_row_that_may_be_guessed(noise, named):
    model = model_of(lambda x: noise(DiagonalBiLSTM(4)(x)), dtype="float32")
    with pytest.raises(ValueError, match=f"from its seed.*Received: {named}"):
        model.generate(1, verbose=0)


# TensorFlow's optimizer makes the result of such a loop empty.


@pytest.mark.parametrize("copies", [2, 3])
def test_a_carry_and_a_constant_added_to_themselves(copies):
    def middle(x):
        return layers.Add()([Left()(x, offset=0.5)] * copies)

    assert_right(model_of(middle, dtype="float32"))
