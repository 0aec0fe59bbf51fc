"""A quick check that no sub-pixel of a model sees itself or a later one."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_genimg.causality.blame import leaking_layer
from keras_genimg.causality.changes import change_of_units
from keras_genimg.causality.image_pairs import ImagePairs
from keras_genimg.causality.leak import Leak, sub_pixel_pairs, worst_pair

# Below this part of the largest change, a change may be rounding.
_TOLERANCE = 1e-5
# A leak must exceed what differs between two runs this many times.
_NOISE_FACTOR = 10
# Sub-pixels of the images of one forward pass, at most; 41 images of 28x28.
_MOST_PIXELS = 2**15
# Height and width of images where a model takes any and none is at hand.
_SIZE = 8


def is_causal(model, image_shape=None):
    """Return whether `first_leak` finds nothing.

    Args:
        model: An `AutoregressiveModel`.
        image_shape: As in `first_leak`.

    Returns:
        True or False; False if the graph cannot be evaluated.
    """
    try:
        return first_leak(model, image_shape) is None
    except Exception:
        return False


def first_leak(model, image_shape=None):
    """Find a sub-pixel that sees itself or a later one.

    Sixteen random images are changed, each from another sub-pixel on, and the
    parameters up to that sub-pixel, its own included, must stay; see `ImagePairs`. The
    test is by value: it sees integer look-ups, which have no gradient, and does not see
    what weights of 0 hide. Of parameters that are not finite nothing is said.

    It takes one forward pass over the 32 images. A change counts above 1e-5 of the
    largest one seen. Where one counts, it could still be rounding, which differs with
    the place in a batch. So images and changed images are evaluated again at the same
    places of two batches, where it does not, and the former once more: the change must
    also exceed what differs between two runs.

    Args:
        model: An `AutoregressiveModel`.
        image_shape: `(height, width, colors)`, for a model of any size. By default 8
            takes the place of a size that is not known.

    Returns:
        A `Leak`, or None. Its text says what is wrong, where, and how to mend it.

    Raises:
        Exception: Whatever the graph raises. Sizes of conditions that are not known,
            taken to be those of the images, and integers that are no labels, taken to
            be 0, can be a wrong guess.
    """
    leak, _ = probe(model, image_shape)
    return leak


def probe(model, image_shape=None, also=()):
    """Return what `first_leak` returns, and parameters of further images.

    Args:
        model: As in `first_leak`.
        image_shape: As in `first_leak`.
        also: Inputs of the model, images and conditions, that are evaluated in the same
            forward pass.

    Returns:
        A `Leak` or None; and the model's output for `also`, a NumPy array.
    """
    shape = tuple(size or _SIZE for size in image_shape or model.image_shape)
    with tf.init_scope():  # Eagerly, also where the caller is being traced.
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
    before = _params(model, [pairs.images, *pairs.conditions])
    after = _params(model, [pairs.changed, *pairs.conditions])
    if not leaks_between(before, after).any():
        return None
    again = _params(model, [pairs.images, *pairs.conditions])
    noise = change_of_units(before, again, pairs.num_units).max()
    leaks = leaks_between(before, after, _NOISE_FACTOR * noise)
    return _worst_leak(model, shape, pairs, leaks) if leaks.any() else None


def _worst_leak(model, shape, pairs, leaks):
    """Return the `Leak` that tells most, of those marked in `(pairs, num_units)`."""
    row, seen_by = np.nonzero(leaks)
    places = np.stack([pairs.units[row], seen_by], axis=1)
    pair, kind = worst_pair(sub_pixel_pairs(places, pairs.unit_shape))
    changed, seen_by = (tuple(map(int, part)) for part in np.split(pair, 2))
    leak = Leak(changed, seen_by, kind)
    unit = np.ravel_multi_index(changed, pairs.unit_shape)
    row = np.flatnonzero(pairs.units == unit)
    rows = [values[row] for values in pairs.conditions]
    before, after = (
        _tensors(model, [images[row], *rows])
        for images in (pairs.images, pairs.changed)
    )
    try:
        layer = leaking_layer(model, leak, shape, before, after)
    except Exception:
        layer = None  # Keras cannot walk the graph.
    return dataclasses.replace(leak, layer=layer)


def _params(model, *batches):
    """Return the parameters of the images in all batches of inputs, as an array."""
    inputs = [np.concatenate(rows) for rows in zip(*batches, strict=True)]
    # Large images in several calls, so that the maps of all of them are never there.
    at_once = max(1, _MOST_PIXELS // int(np.prod(inputs[0].shape[1:])))
    params = []
    for start in range(0, len(inputs[0]), at_once):
        some = _tensors(model, [rows[start : start + at_once] for rows in inputs])
        # Eagerly: to trace the graph would take longer than to run it.
        some = some if len(some) > 1 else some[0]
        params.append(model(some, training=False).numpy())
    return np.concatenate(params) if len(params) > 1 else params[0]


def _tensors(model, inputs):
    return [
        tf.cast(values, tensor.dtype)
        for values, tensor in zip(inputs, model.inputs, strict=True)
    ]
