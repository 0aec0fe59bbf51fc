import functools

import keras
import numpy as np
import pytest

from keras_genimg.layers import DiagonalBiLSTM, ResidualMaskedConvBlock
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import AutoregressiveModel, PixelCNN
from keras_genimg.networks import condition_input, pixel_stack
from tests.sampling.forced import assert_sampled_as_computed


def test_a_stack_wired_by_hand_is_the_model():
    likelihood = Categorical(4)
    images = keras.Input((4, 5, 3), name="images")
    (label,), condition = condition_input(3, None, units=4)
    block = functools.partial(ResidualMaskedConvBlock, 4, 3)
    params = pixel_stack(
        images, block, 2, 8, likelihood, condition=condition, head_filters=6
    )
    by_hand = AutoregressiveModel([images, label], params, likelihood)
    model = PixelCNN((4, 5, 3), 4, 2, 6, likelihood, num_classes=3)
    assert [x.name for x in by_hand.layers] == [x.name for x in model.layers]
    by_hand.set_weights(model.get_weights())
    pixels = np.random.default_rng(0).integers(4, size=(3, 4, 5, 3))
    x = [pixels, np.array([0, 1, 2])]
    np.testing.assert_array_equal(by_hand(x), model(x))


def test_any_causal_layer_stacks():
    images = keras.Input((4, 3, 1))
    inputs, condition = condition_input(None, (1, 1, 2), units=4)
    likelihood = Categorical(3)
    layer = functools.partial(DiagonalBiLSTM, 3)
    options = {"condition": condition, "skip": False, "num_head_layers": 0}
    params = pixel_stack(images, layer, 1, 6, likelihood, **options)
    assert params.shape == (None, 4, 3, 1, 3)
    model = AutoregressiveModel([images, *inputs], params, likelihood)
    conditions = np.random.default_rng(0).normal(size=(3, 1, 1, 2))
    assert_sampled_as_computed(model, conditions=conditions)
    assert condition_input(None, None, 4) == ([], None)


def test_classes_of_several_inputs_add_their_embeddings():
    counts = {"order": 3, "label": 2}
    options = {"units": 4, "num_blocks": 1, "head_filters": 4}
    model = PixelCNN((4, 4, 1), num_classes=counts, **options)
    model = PixelCNN.from_config(model.get_config())
    assert [tensor.name for tensor in model.inputs] == ["images", "order", "label"]
    assert model.condition_ranges == {"order": (0, 2), "label": (0, 1)}
    alone = PixelCNN((4, 4, 1), num_classes=2, **options)
    generator = np.random.default_rng(0)
    weights = {x.path: generator.normal(size=x.shape) for x in model.weights}
    for weight in model.weights:
        weight.assign(weights[weight.path])
    order = weights.pop("order_embedding/embeddings")
    weights["class_embedding/embeddings"] += order[1]
    for weight in alone.weights:
        weight.assign(weights[weight.path])
    images = generator.integers(2, size=(4, 4, 4, 1))
    label = np.array([0, 1, 1, 0])
    found = model([images, np.ones(4, int), label])
    np.testing.assert_allclose(found, alone([images, label]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "counts, text",
    [
        ({}, "a dict of integers by the name"),
        ({"images": 2}, "Received: num_classes={'images': 2}"),
        ({"label": 0}, r"`num_classes\['label'\]` of PixelCNN must be .* at least 1"),
    ],
)
def test_refused_numbers_of_classes(counts, text):
    with pytest.raises(ValueError, match=text):
        PixelCNN((4, 4, 1), 4, 1, num_classes=counts)
