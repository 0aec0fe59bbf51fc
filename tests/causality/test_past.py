"""Every sub-pixel sees its past and nothing else, in every model.

The check here changes pixels independently of `keras_genimg.causality`, whose leaks and
dependency fields must agree with it.
"""

import itertools
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality import dependency_field, first_leak
from keras_genimg.causality.random_weights import randomize
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import GatedPixelCNN, PixelCNN, PixelRNN
from tests.causality import influence
from tests.seldom import slow_but


def influences(model, num_values, seeds):
    """Return whether sub-pixel [i] influences the parameters of [j], flattened.

    With one draw of weights and pixels, dead ReLUs can hide an influence.
    """
    compute = tf.function(model, autograph=False)
    seen = False
    for seed in seeds:
        randomize(model, seed)
        image = np.random.default_rng(seed).integers(num_values, size=model.image_shape)
        size, values = image.size, image.ravel()
        others = (values + 1 + np.arange(size) % (num_values - 1)) % num_values
        seen |= influence(
            lambda images: compute(tf.constant(images, tf.float32)),
            [image],
            others - values,
        )
    return seen.reshape(size, size, -1).any(axis=-1)


FAMILIES = {
    "cnn": partial(PixelCNN, num_blocks=2, first_kernel_size=5),
    "row": partial(PixelRNN, num_layers=2, layer="row", first_kernel_size=5),
    "diagonal": partial(PixelRNN, num_layers=1, first_kernel_size=3),
    "whole_diagonal": partial(
        PixelRNN, num_layers=1, first_kernel_size=3, whole_rows=True
    ),
    "whole_row": partial(
        PixelRNN, num_layers=2, layer="row", first_kernel_size=3, whole_rows=True
    ),
    "plain": partial(
        PixelRNN, num_layers=1, first_kernel_size=3, residual=False, skip=False
    ),
    "gated": partial(GatedPixelCNN, num_blocks=4, first_kernel_size=3),
}

CASES = [  # Image shape, units, values of a sub-pixel.
    ((5, 5, 1), 6, 2),
    ((3, 6, 1), 5, 7),
    ((4, 3, 2), 5, 4),
    ((3, 4, 3), 8, 5),
]


EVERY = [
    *itertools.product(("cnn", "row", "diagonal", "gated"), CASES),
    *itertools.product(("whole_diagonal", "whole_row"), CASES[1::2]),
    ("plain", CASES[1]),  # Has the layers of "diagonal".
]
FAST = [
    ("cnn", CASES[2]),
    ("row", CASES[2]),
    ("diagonal", CASES[3]),
    ("whole_row", CASES[1]),
    ("gated", CASES[2]),
]


@pytest.mark.parametrize("each", slow_but(EVERY, *FAST), ids=str)
def test_future_changes_nothing(each):
    family, case = each
    shape, units, values = case
    likelihood = Categorical(values) if values > 2 else "bernoulli"
    model = FAMILIES[family](shape, units=units, head_filters=9, likelihood=likelihood)
    seen = influences(model, values, range(6))
    past = np.triu(np.ones_like(seen), 1)  # [i, j]: i lies before j.
    assert not (seen & ~past).any()
    if family in ("diagonal", "plain"):
        np.testing.assert_array_equal(seen, past & ~blind_spot(shape, kernel_size=3))
    # The first kernels reach all of a row of three.
    reaches = family in ("cnn", "row") and shape[1] == 3
    if reaches or family in ("gated", "whole_diagonal", "whole_row"):
        np.testing.assert_array_equal(seen, past)
    assert first_leak(model) is None
    # A dependency field does not tell colors apart. This pixel has a past and a future.
    row, column = shape[0] // 2, shape[1] // 2
    field = dependency_field(model, (row, column))
    sees = seen.reshape(*shape, *shape)[:, :, :, row, column]
    np.testing.assert_array_equal(field, sees.any(axis=(2, 3)))


def blind_spot(shape, kernel_size):
    """Return the pairs that the paper's diagonal network cannot connect.

    The layer's field is complete, but the first convolution hides a sub-pixel from the
    features at its own position. The last sub-pixel of a row is therefore in no feature
    of that row, and the first pixels of the next row see it only through the kernel.
    """
    height, width, colors = shape
    unseen = np.zeros((*shape, *shape), bool)
    for row in range(height - 1):
        reach = width - 1 - kernel_size // 2
        unseen[row, -1, -1, row + 1, : max(reach, 0)] = True
    return unseen.reshape(height * width * colors, -1)


@pytest.mark.parametrize(
    "family", slow_but(FAMILIES, "cnn", "row", "diagonal", "gated")
)
def test_conditions_are_seen_without_a_mask(family):
    model = FAMILIES[family]((3, 4, 1), units=4, num_classes=3)
    randomize(model)
    params = np.asarray(model([np.zeros((3, 3, 4, 1)), np.arange(3)]))
    assert (params[0] != params[1]).all() and (params[1] != params[2]).all()
    model = FAMILIES[family]((3, 4, 1), units=4, condition_shape=(3, 4, 2))
    condition, changed = np.zeros((2, 3, 4, 2)), False
    condition[1, 1, 1, 0] = 1
    for seed in range(4):  # In a single one, dead ReLUs can hide it.
        randomize(model, seed)
        params = np.asarray(model([np.zeros((2, 3, 4, 1)), condition]))
        changed |= (params[0] != params[1])[..., 0]
    assert changed[1, 1] and changed[2, :3].all() and not changed[0].any()


@pytest.mark.slow
def test_untrained_models_are_about_uniform():
    x = np.random.default_rng(0).integers(2, size=(8, 9, 9, 1))
    for family in ("cnn", "row", "diagonal"):
        keras.utils.set_random_seed(3)
        model = FAMILIES[family]((9, 9, 1), units=8)
        nats = -model.log_prob(x).mean()
        assert abs(nats / (81 * np.log(2)) - 1) < 0.1


def test_whole_rows_need_a_known_width():
    with pytest.raises(ValueError, match=r"`whole_rows`.*known width.*None"):
        PixelRNN((4, None, 1), 4, 1, whole_rows=True)
    PixelRNN((None, 4, 1), 4, 1, whole_rows=True)
