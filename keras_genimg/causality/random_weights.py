"""Temporary random weights for a model."""

import contextlib
import math

import numpy as np

_KERNEL_GAIN = 2.0
_VECTOR_SCALE = 0.3


@contextlib.contextmanager
def random_weights(model, seed=0):
    """Give a model random weights inside a `with` block, and restore them afterwards.

    Biases and initial states, which are zero in an untrained model, become random too.
    This distinguishes pixels that the graph cannot see from pixels that its weights
    happen to hide.

    Weights are drawn from normal distributions. Kernels have a standard deviation of
    `2 / sqrt(inputs of a unit)`, so that influences do not vanish in recurrent layers.
    Biases and other vectors have a standard deviation of 0.3, so that few ReLUs are
    dead. Weights that are not trainable keep their values.

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
            scale = _VECTOR_SCALE
            if value.ndim > 1:
                scale = _KERNEL_GAIN / math.sqrt(math.prod(value.shape[:-1]))
            weight.assign(generator.normal(0, scale, size=value.shape))
        yield
    finally:
        for weight, value in saved:
            weight.assign(value)
