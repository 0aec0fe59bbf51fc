import functools

import keras
import numpy as np

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
