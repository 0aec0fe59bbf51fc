"""Parameters of pairs of images, and which of them differ where they must not."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_genimg.causality.image_pairs import ImagePairs
from keras_genimg.model_types import PixelModel
from keras_genimg.sampling.forward_passes import forward_pass
from keras_genimg.types import Array

# Changes smaller than this fraction of the largest one may be rounding.
_TOLERANCE = 1e-5
# Maximum number of sub-pixels per forward pass; 41 images of 28x28.
_MOST_PIXELS = 2**15


def some_of(inputs: Sequence[Array], index: Any) -> list[Array]:
    """Return some elements of each of the inputs."""
    return [values[index] for values in inputs]


def params_of(
    model: PixelModel,
    inputs: Sequence[Array],
    forward: Callable[..., Any] = forward_pass,
) -> Array:
    """Return the parameters for a list of inputs, as an array.

    Args:
        model: An `AutoregressiveModel`.
        inputs: Arrays: images, then the conditions.
        forward: Function of the model, images and conditions that returns parameters.
    """
    # Several calls for large images, to bound the memory of the feature maps.
    at_once = max(2, _MOST_PIXELS // math.prod(inputs[0].shape[1:]))
    params = []
    for start in range(0, len(inputs[0]), at_once):
        some = some_of(inputs, slice(start, start + at_once))
        images, *conditions = map(tf.constant, some)
        params.append(forward(model, images, conditions).numpy())
    return np.concatenate(params)


def leaks_between(
    pairs: ImagePairs,
    before: Array,
    after: Array,
    index: Any = slice(None),
    noise: float = 0.0,
) -> Array:
    """Return which units of the past of each change differ.

    Args:
        pairs: The `ImagePairs`.
        before: Parameters of the original images.
        after: Parameters of the changed images, or of the first ones.
        index: The pairs that the parameters are of.
        noise: Largest change that is no leak.

    Returns:
        Boolean array of shape `(images, num_units)`.
    """
    changes = changes_between(pairs, before[: len(after)], after)
    past = np.arange(changes.shape[1]) <= pairs.units[index][: len(after), None]
    return past & (changes > max(_TOLERANCE * changes.max(), noise))


def changes_between(pairs: ImagePairs, before: Array, after: Array) -> Array:
    """Return the largest absolute change of the parameters in each unit.

    Args:
        pairs: The `ImagePairs`.
        before: Parameters `(images, ...)`, in the order in which pixels are sampled.
        after: Parameters of the same shape.

    Returns:
        Float64 array of shape `(images, num_units)`. Parameters that are not finite
        before or after count as unchanged.
    """
    changes = []
    for old, new in zip(before, after, strict=True):
        finite = np.isfinite(old) & np.isfinite(new)
        # The difference of two float32 parameters can overflow float32.
        old, new = (np.where(finite, x, 0).astype("float64") for x in (old, new))
        change = np.abs(new - old).reshape(math.prod(pairs.unit_shape), -1)
        changes.append(change.max(axis=1))
    return np.stack(changes)
