"""A quick check that no sub-pixel of a model sees itself or a later one."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_genimg.causality.blame import leaking_layer
from keras_genimg.causality.changes import change_of_units, other_values
from keras_genimg.causality.leak import Leak, sub_pixel_pairs, worst_pair

_NUM_PAIRS = 16
_NUM_ROW_ENDS = 5
# Below this part of the largest change, a change may be rounding.
_TOLERANCE = 1e-5
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

    Sixteen random images are changed, each from another sub-pixel on: the first, the
    last, some at ends of rows, others at random. Every sub-pixel from there on gets
    another value, and the parameters up to that sub-pixel, its own included, must
    stay. Where a likelihood couples the colors of a pixel, as its attribute
    `couples_colors` says, pixels take the place of sub-pixels.

    The test is by value: it sees integer look-ups, which have no gradient, and does not
    see what weights of 0 hide. It takes one forward pass over the 32 images. A change
    counts above 1e-5 of the largest one seen. Where one counts, it could still be
    rounding, which differs with the place in a batch. So the images and the changed
    ones are evaluated again at the same places of two batches, where it does not, and
    the former once more: more than what differs there must remain. Of
    parameters that are not finite nothing is said.

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
    generator = np.random.default_rng(0)
    shape = image_shape or model.image_shape
    shape = tuple(_SIZE if size is None else size for size in shape)
    couples_colors = getattr(model.likelihood, "couples_colors", False)
    unit_shape = shape[:2] if couples_colors else shape
    units = _positions(unit_shape, generator)
    num_units = int(np.prod(unit_shape))
    num_values = model.likelihood.num_values

    images = generator.integers(num_values, size=(len(units), *shape))
    later = np.arange(num_units) >= units[:, None]
    later = later.reshape(len(units), *unit_shape, *[1] * couples_colors)
    changed = np.where(later, other_values(generator, images, num_values), images)
    conditions = _random_conditions(model, len(units), shape, generator)

    def params(*batches):
        rows = [np.concatenate([rows] * len(batches)) for rows in conditions]
        inputs = _tensors(model, np.concatenate(batches), rows)
        return model(inputs if conditions else inputs[0], training=False).numpy()

    def leaks_between(before, after, noise=0.0):
        changes = change_of_units(before, after, num_units)
        past = np.arange(num_units) <= units[:, None]
        return past & (changes > max(_TOLERANCE * changes.max(), noise))

    if not leaks_between(*np.split(params(images, changed), 2)).any():
        return None
    before, after = params(images), params(changed)
    if not leaks_between(before, after).any():
        return None
    noise = 10 * change_of_units(before, params(images), num_units).max()
    leaks = np.argwhere(leaks_between(before, after, noise))
    if not len(leaks):
        return None

    pairs = np.stack([units[leaks[:, 0]], leaks[:, 1]], axis=1)
    pair, kind = worst_pair(sub_pixel_pairs(pairs, unit_shape))
    half = len(pair) // 2
    leak = Leak(tuple(map(int, pair[:half])), tuple(map(int, pair[half:])), kind)
    row = int(
        np.flatnonzero(units == np.ravel_multi_index(leak.changed, unit_shape))[0]
    )
    rows = [rows[row : row + 1] for rows in conditions]
    one_before, one_after = (
        _tensors(model, batch[row : row + 1], rows) for batch in (images, changed)
    )
    try:
        layer = leaking_layer(model, leak, shape, one_before, one_after)
    except Exception:
        layer = None  # Keras cannot walk the graph.
    return dataclasses.replace(leak, layer=layer)


def _tensors(model, images, conditions):
    return [
        tf.cast(values, tensor.dtype)
        for values, tensor in zip([images, *conditions], model.inputs, strict=True)
    ]


def _positions(shape, generator):
    """Return flat indices of the first and the last unit, ends of rows, and others."""
    height, width, *colors = shape
    size = int(np.prod(shape))
    if size <= _NUM_PAIRS:
        return np.arange(size)
    num_colors = colors[0] if colors else 1
    rows = np.unique(np.linspace(0, height - 1, _NUM_ROW_ENDS).astype(int))
    ends = ((rows + 1) * width - 1) * num_colors + np.arange(len(rows)) % num_colors
    chosen = np.unique([0, size - 1, *ends])
    others = np.setdiff1d(np.arange(size), chosen)
    missing = _NUM_PAIRS - len(chosen)
    return np.sort([*chosen, *generator.choice(others, missing, replace=False)])


def _random_conditions(model, num_images, image_shape, generator):
    """Return random rows for the model's inputs besides the images."""
    rows = []
    for tensor in model.inputs[1:]:
        size = list(tensor.shape[1:])
        if len(size) == 3:
            size[:2] = [n or m for n, m in zip(size, image_shape[:2], strict=False)]
        size = (num_images, *(n or 1 for n in size))
        if "float" in tensor.dtype:
            rows.append(generator.normal(size=size))
        else:  # Of other integers than labels, only 0 is sure to be in range.
            num_classes = getattr(model, "num_classes", None) or 1
            rows.append(generator.integers(num_classes, size=size))
    return rows
