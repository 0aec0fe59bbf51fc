"""Random weights, to probe the graph of a model rather than its weights."""

import contextlib
import math

import numpy as np


def randomize(model, seed=0, gain=2.0, vector_scale=0.3):
    """Give a model or layer random weights.

    Biases and initial states, zero in an untrained model, become random too. An output
    that does not change with an input then lacks a path in the graph, rather than a
    weight. Weights that are frozen, or no part of training, keep their values.

    Numbers are normal. Kernels have a standard deviation of `gain / sqrt(inputs of a
    unit)`. With a gain of 2, an influence does not die out on its way through a
    recurrent layer.

    Args:
        model: A `keras.Model` or layer that has been built.
        seed: Seed of the random numbers.
        gain: Scale of kernels.
        vector_scale: Standard deviation of biases and other vectors. At 0.3, few ReLUs
            are dead.
    """
    generator = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        scale = vector_scale
        if len(weight.shape) > 1:
            scale = gain / math.sqrt(math.prod(weight.shape[:-1]))
        weight.assign(generator.normal(0, scale, size=weight.shape))


@contextlib.contextmanager
def random_weights(model, seed=0):
    """Randomize a model inside a `with` block and restore its weights afterwards.

    Args:
        model: A `keras.Model` that has been built.
        seed: Seed of the random numbers, see `randomize`.

    Example:
        >>> with random_weights(model, seed=0):
        ...     params = model(images)
    """
    saved = [(weight, weight.numpy()) for weight in model.trainable_weights]
    try:
        randomize(model, seed)
        yield
    finally:
        for weight, value in saved:
            weight.assign(value)
