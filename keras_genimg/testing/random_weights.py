"""Random weights for a while."""

import contextlib
import math

import numpy as np

_GAIN = 2.0


@contextlib.contextmanager
def random_weights(model, seed=0):
    """Give a model random weights inside a `with` block, and its own back after it.

    Biases and initial states, zero in an untrained model, become random too, so that
    what the graph cannot see and what its weights happen to hide can be told apart.
    Numbers are normal, with a standard deviation of `2 / sqrt(inputs of a unit)`:
    enough that an influence does not die out on its way through a recurrent layer.
    Weights that are frozen, or no part of training, keep their values.

    Args:
        model: A `keras.Model` that has been built.
        seed: Seed of the random numbers.

    Example:
        >>> with random_weights(model, seed=0):
        ...     params = model(images)
    """
    generator = np.random.default_rng(seed)
    saved = [(weight, weight.numpy()) for weight in model.trainable_weights]
    try:
        for weight, value in saved:
            scale = _GAIN / math.sqrt(max(1, math.prod(value.shape[:-1])))
            weight.assign(generator.normal(0, scale, size=value.shape))
        yield
    finally:
        for weight, value in saved:
            weight.assign(value)
