"""Layers of the two stacks of the Gated PixelCNN."""

import keras
import numpy as np
import pytest

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import GatedHorizontalConv, GatedVerticalConv, MaskedConv2D
from keras_genimg.models import AutoregressiveModel
from keras_genimg.sampling import incremental_sampler
from tests.sampling.forced import assert_sampled_as_computed


def wired_by_hand(first):
    """Return a model of vertical layers, which sees only the rows above."""
    images = keras.Input((4, 5, 1))
    x = first(images)
    x = GatedVerticalConv(3)(keras.layers.Concatenate()([x, x]))
    x = GatedVerticalConv(2)(keras.layers.ReLU()(x))
    logits = MaskedConv2D(1, 1, "B", dtype="float32")(x)
    model = AutoregressiveModel(images, logits, "bernoulli")
    randomize(model)
    return model


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_stack_wired_by_hand_is_sampled(policy):
    keras.mixed_precision.set_global_policy(policy)
    assert_sampled_as_computed(wired_by_hand(GatedVerticalConv(2, 3, "A")))


@pytest.mark.parametrize(
    "first", [keras.layers.Identity(), MaskedConv2D(1, 3, "A")], ids=["image", "masked"]
)
def test_whole_rows_of_unfinished_rows_are_refused(first):
    model = wired_by_hand(first)
    text = "'convolution' sees pixels to its right, so its input must depend only on"
    with pytest.raises(ValueError, match=text):
        incremental_sampler(model)(np.zeros((1, 4, 5, 1), "float32"), 1.0, [])
    with pytest.raises(ValueError, match="which is generated earlier"):
        model.generate(1, method="fixed_point")


@pytest.mark.parametrize("kind", [GatedHorizontalConv, GatedVerticalConv])
def test_arguments_reach_the_kernels(kind):
    above = [(None, 4, 5, 4)] * (kind is GatedHorizontalConv)
    options = {"use_bias": False, "activation": "relu", "kernel_regularizer": "l2"}
    layer = kind(2, **options)
    layer.build((None, 4, 5, 2), *above, (None, 1, 1, 3))
    names = ["convolution", *["link", "combine"] * len(above), "project"]
    paths = [weight.path.split("/", 1)[1] for weight in layer.weights]
    assert paths == [f"{name}/kernel" for name in names]
    penalty = sum(0.01 * np.square(kernel).sum() for kernel in layer.get_weights())
    np.testing.assert_allclose(sum(layer.losses), penalty, rtol=1e-5)
    if kind is GatedVerticalConv:  # The ReLU's half of the gate is 0.
        negative, zeros = -np.ones((1, 4, 5, 2)), np.zeros((1, 1, 1, 3))
        assert not np.any(layer(negative, zeros))
    fresh = kind(2, kernel_initializer="ones", bias_initializer="ones")
    fresh.build((None, 4, 5, 2), *above)
    assert all((weight == 1).all() for weight in fresh.get_weights())
