"""Random weights, to test the graph of a model rather than its weights."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np

# A value for each of some variables, for a `keras.StatelessScope`.
Weights: TypeAlias = list[tuple[keras.Variable, Any]]


def random_values(
    layer: keras.Layer, seed: int = 0, gain: float = 2.0, vector_scale: float = 0.3
) -> Weights:
    """Return random values for the weights of a model or layer.

    Biases and initial states, zero in an untrained model, become random too. An output
    that does not change with an input then lacks a path in the graph, rather than a
    weight.

    Numbers are normal. Kernels have a standard deviation of `gain / sqrt(inputs of a
    unit)`. With a gain of 2, an influence does not die out on its way through a
    recurrent layer. Constraints are applied. Weights that are not trained are scaled by
    random numbers around 1 instead, so that a mask stays a mask and a variance
    positive; those that are all zero become positive. Integers stay as they are.

    Args:
        layer: A layer, or a `keras.Model`, that has been built.
        seed: Seed of the random numbers.
        gain: Scale of kernels.
        vector_scale: Standard deviation of biases and other vectors. At 0.3, few ReLUs
            are dead.

    Returns:
        List of `(variable, value)` for all of `layer.weights`, in their order.
    """
    generator = np.random.default_rng(seed)

    def random_value(weight: keras.Variable) -> Any:
        scale = vector_scale
        if len(weight.shape) > 1:
            scale = gain / math.sqrt(math.prod(weight.shape[:-1]))
        if weight.trainable:
            value = generator.normal(0, scale, size=weight.shape).astype("float32")
            if weight.constraint is None:
                return value
            return weight.constraint(keras.ops.cast(value, weight.dtype))
        factors = generator.uniform(0.5, 1.5, size=weight.shape)
        value = np.asarray(weight.numpy(), "float32")
        has_values = value.any() and np.isfinite(value).all()
        return (factors * (value if has_values else scale)).astype("float32")

    return _values(layer, random_value)


def jittered_values(layer: keras.Layer, seed: int = 0) -> Weights:
    """Return the weights of a model with some noise, for graphs that need their own.

    Args:
        layer: A `keras.Model`, or a layer, that has been built.
        seed: Seed of the noise.

    Returns:
        List of `(variable, value)` for all of `layer.weights`.
    """
    generator = np.random.default_rng(seed)

    def jittered_value(weight: keras.Variable) -> Any:
        if not weight.trainable:
            return weight.value
        value = np.asarray(weight.numpy(), "float32")
        return value + generator.normal(0, 0.1 * value.std() + 1e-3, value.shape)

    return _values(layer, jittered_value)


def _values(layer: keras.Layer, new_value: Callable[[keras.Variable], Any]) -> Weights:
    """Return `(weight, value)` of all weights, with new values for those of floats."""
    return [(w, new_value(w) if "float" in w.dtype else w.value) for w in layer.weights]


def randomize(layer: keras.Layer, seed: int = 0, **options: float) -> None:
    """Give a model or layer the weights that `random_values` returns."""
    for weight, value in random_values(layer, seed, **options):
        weight.assign(value)


def random_weights(layer: keras.Layer, seed: int = 0) -> keras.StatelessScope:
    """Return a context in which a model has random weights.

    Its own are neither read nor written there, and a `tf.function` traced before does
    not see the random ones.

    Args:
        layer: A `keras.Model`, or a layer, that has been built.
        seed: Seed of the random numbers, see `random_values`.

    Example:
        >>> with random_weights(model, seed=0):
        ...     params = model(images)
    """
    return keras.StatelessScope(state_mapping=random_values(layer, seed))
