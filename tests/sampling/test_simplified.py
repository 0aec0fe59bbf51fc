"""Products take over biases and sums, and the parameters stay the same."""

import keras
import pytest
import tensorflow as tf
from keras import layers

from keras_genimg.layers import MaskedConv2D, ResidualMaskedConvBlock
from keras_genimg.models import PixelCNN
from keras_genimg.sampling.incremental import PixelRun
from keras_genimg.sampling.pointwise import Linear
from tests.sampling.forced import assert_sampled_as_computed
from tests.sampling.test_program import model_of


def skips(x):
    found = []
    for _ in range(3):
        x = ResidualMaskedConvBlock(3)(x)
        found.append(layers.Dense(4)(x))
    return layers.ReLU()(layers.Add()(found))


def residual_products(x):
    for size in (1, 2):
        x = x + layers.Dense(6)(layers.Dense(size, activation="relu")(x))
    return layers.Dense(5)(x)


BODIES = {
    "skips": skips,
    "residual_products": residual_products,
    "relu": lambda x: layers.Activation("relu")(layers.Dense(5)(x)),
    "capped": lambda x: layers.ReLU(max_value=0.2)(layers.Dense(5)(x)),
    "doubled": lambda x: (lambda y: keras.ops.relu(y + y))(layers.Dense(5)(x)),
    "plus_a_number": lambda x: layers.Dense(5)(layers.Dense(2)(x) + 3.0),
    "plus_a_vector": lambda x: layers.Dense(6)(x) + tf.range(6.0),
    "also_read_by_a_causal_layer": lambda x: (
        lambda y: layers.Dense(6)(keras.ops.relu(y)) + MaskedConv2D(6, 3, "B")(y)
    )(layers.Dense(5)(x)),
    "in_rows_and_in_pixels": lambda x: (
        lambda above: above + layers.Dense(6)(layers.Dense(6)(x) + above)
    )(layers.Dense(6)(MaskedConv2D(6, 3, "A")(x))),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_parameters_are_those_of_a_forward_pass(body):
    assert_sampled_as_computed(model_of(body))


def test_operations_of_a_pixel_cnn():
    model = PixelCNN((4, 4, 1), units=3, num_blocks=3, head_filters=5)

    @tf.function
    def run_of(images):
        run = PixelRun(model, images, [], fused=True)
        for step in run.pixel_steps:
            if isinstance(step.pixel, Linear):
                kernel, bias = step.weights
                products.append((tuple(kernel.shape), bias is not None))

    products = []
    run_of(tf.zeros((4, 4, 2, 1)))
    # Before a convolution and at the end, biases are added. The skip connections read
    # the first convolution and what the blocks add, not their sums.
    block = [((6, 3), True), ((3, 6), False)]
    head = [((6 + 3 * 3, 6), False), ((6, 5), False), ((5, 5), False), ((5, 1), True)]
    assert products == [*block, *block, block[0], *head]
