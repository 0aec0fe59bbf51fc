"""Quick check that no sub-pixel of a model sees itself or a later one."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.causality.blame import leaking_layer
from keras_genimg.causality.changes import change_of_units
from keras_genimg.causality.image_pairs import ImagePairs
from keras_genimg.causality.leak import Leak, sub_pixel_pairs, worst_pair
from keras_genimg.types import TensorLike

# Changes smaller than this fraction of the largest one may be rounding.
_TOLERANCE = 1e-5
# A leak must exceed the difference between two runs by this factor.
_NOISE_FACTOR = 10
# Maximum number of sub-pixels per forward pass; 41 images of 28x28.
_MOST_PIXELS = 2**15
# Height and width of the images for a model of any size.
_SIZE = 8


def is_causal(
    model: keras.Model, image_shape: Sequence[int | None] | None = None
) -> bool:
    """Return whether no sub-pixel is found to see itself or a later one.

    The check is that of `first_leak`, which also describes the leak.

    Args:
        model: An `AutoregressiveModel`.
        image_shape: `(height, width, colors)` of the images to check with, for a model
            of any size. Unknown sizes are 8 by default.

    Returns:
        True if no leak is found. False if there is one or if the graph cannot be
        evaluated.
    """
    try:
        return first_leak(model, image_shape) is None
    except Exception:
        return False


def first_leak(
    model: keras.Model, image_shape: Sequence[int | None] | None = None
) -> Leak | None:
    """Find a sub-pixel that sees itself or a later one.

    Sixteen random images are each changed from a different sub-pixel on. The parameters
    of that sub-pixel and of all earlier ones must stay the same. The check compares
    values, not gradients: it detects integer look-ups, which have no gradient, but not
    connections whose weights are 0. Parameters that are not finite are ignored.

    The check takes one forward pass over the 32 images. A change counts if it exceeds
    1e-5 of the largest change. It may still be rounding, which differs between
    positions of a batch. If a change counts, the original and the changed images are
    therefore evaluated again, at the same positions of two batches, and the originals
    once more, on the CPU. The change must also exceed ten times the difference between
    two runs of the originals.

    Args:
        model: An `AutoregressiveModel`. The networks of a `MultiScalePixelRNN` are
            checked one by one.
        image_shape: `(height, width, colors)` of the images to check with, for a model
            of any size. Unknown sizes are 8 by default.

    Returns:
        A `Leak`, or None. `str(leak)` says what is wrong, where, and how to fix it.

    Raises:
        Exception: Any error of the graph. Values for the conditions are guesses:
            unknown sizes are those of the images, and integers other than labels are 0.
    """
    if hasattr(model, "scale_models"):
        # Each scale has an order of its own.
        leaks = (probe(network)[0] for network in model.scale_models)
        return next((leak for leak in leaks if leak is not None), None)
    leak, _ = probe(model, image_shape)
    return leak


def probe(
    model: keras.Model,
    image_shape: Sequence[int | None] | None = None,
    also: Sequence[TensorLike] = (),
) -> tuple[Leak | None, np.ndarray]:
    """Run `first_leak` and evaluate further images in the same forward pass.

    Args:
        model: An `AutoregressiveModel`.
        image_shape: `(height, width, colors)` of the images to check with, for a model
            of any size. Unknown sizes are 8 by default.
        also: Further inputs of the model to evaluate, a list of images and conditions.

    Returns:
        A `Leak` or None, and the model's output for `also` as a NumPy array.
    """
    shape = tuple(size or _SIZE for size in image_shape or model.image_shape)
    with tf.init_scope():  # Run eagerly even while the caller is being traced.
        pairs = ImagePairs(model, shape)
        first = [pairs.images, *pairs.conditions]
        second = [pairs.changed, *pairs.conditions]
        params = _params(model, first, second, *([also] if also else []))
        size = len(pairs.images)
        leak = _first_leak(model, shape, pairs, params[: 2 * size])
    return leak, params[2 * size :]


def _first_leak(model, shape, pairs, both):
    past = np.arange(pairs.num_units) <= pairs.units[:, None]

    def leaks_between(before, after, noise=0.0):
        changes = change_of_units(before, after, pairs.num_units)
        return past & (changes > max(_TOLERANCE * changes.max(), noise))

    if not leaks_between(*np.split(both, 2)).any():
        return None
    # On the CPU. Fast convolutions of GPUs mix neighboring pixels and cancel what a
    # kernel does not see, so rounding reaches pixels that nothing else does.
    with tf.device("CPU"):
        before = _params(model, [pairs.images, *pairs.conditions])
        after = _params(model, [pairs.changed, *pairs.conditions])
        if not leaks_between(before, after).any():
            return None
        again = _params(model, [pairs.images, *pairs.conditions])
        noise = change_of_units(before, again, pairs.num_units).max()
        leaks = leaks_between(before, after, _NOISE_FACTOR * noise)
        return _worst_leak(model, shape, pairs, leaks) if leaks.any() else None


def _worst_leak(model, shape, pairs, leaks):
    """Return the most informative `Leak` of those marked in `(pairs, num_units)`."""
    index, seen_by = np.nonzero(leaks)
    places = np.stack([pairs.units[index], seen_by], axis=1)
    pair, kind = worst_pair(sub_pixel_pairs(places, pairs.unit_shape))
    changed, seen_by = (tuple(map(int, part)) for part in np.split(pair, 2))
    leak = Leak(changed, seen_by, kind)
    unit = np.ravel_multi_index(changed, pairs.unit_shape)
    index = np.flatnonzero(pairs.units == unit)
    conditions = [values[index] for values in pairs.conditions]
    before, after = (
        _tensors(model, [images[index], *conditions])
        for images in (pairs.images, pairs.changed)
    )
    try:
        layer = leaking_layer(model, leak, shape, before, after)
    except Exception:
        layer = None  # Keras cannot walk the graph.
    return dataclasses.replace(leak, layer=layer)


def _params(model, *batches):
    """Return the parameters for all batches of inputs, concatenated in one array."""
    inputs = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    # Several calls for large images, to bound the memory of the feature maps.
    at_once = max(1, _MOST_PIXELS // int(np.prod(inputs[0].shape[1:])))
    params = []
    for start in range(0, len(inputs[0]), at_once):
        some = _tensors(model, [values[start : start + at_once] for values in inputs])
        # Eager, since tracing the graph would take longer than running it.
        some = some if len(some) > 1 else some[0]
        params.append(model(some, training=False).numpy())
    return np.concatenate(params) if len(params) > 1 else params[0]


def _tensors(model, inputs):
    return [
        tf.cast(values, tensor.dtype)
        for values, tensor in zip(inputs, model.inputs, strict=True)
    ]
