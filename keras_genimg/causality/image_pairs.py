"""Random images, each with a copy that differs from some sub-pixel on."""

import numpy as np

from keras_genimg.inputs.calls import cost_of_image

_NUM_ROW_ENDS = 5
# Products of a weight and a pixel in one forward pass: a few seconds of two CPU cores.
_AFFORDABLE = 2e10
# Few maps have 13 rows or channels. Keras adds a tensor (batch, 1, 1, 1) along another
# axis to a map that has as many of them as there are examples.
_FEWEST_PAIRS, _MOST_PAIRS = 3, 13


class ImagePairs:
    """Pairs of images that a causal model cannot tell apart up to a given unit.

    A unit is a sub-pixel, or a whole pixel if the model's likelihood sets
    `couples_colors` to True. There are thirteen pairs, and fewer for large models. The
    second image of a pair differs from the first in every sub-pixel from some unit on.
    The units are, as far as there are pairs, one in the middle, the first, the last and
    some at ends of rows; the others are random. The second image of the first pair does
    not differ, to show what other images of its batch change. The pairs are the same at
    every call.

    Args:
        model: An `AutoregressiveModel`.
        shape: `(height, width, colors)`.
        guess: See `conditions`.

    Attributes:
        unit_shape: Shape of an image in units.
        units: Flat index of the first changed unit of each image, `(pairs,)`; the
            number of units for none.
        images: Original images, `(pairs, height, width, colors)`.
        changed: Changed images, `(pairs, height, width, colors)`.
        conditions: One array per further input of the model, of its dtype, with one
            element per image. Integers of a known range are random. Others are at most
            `guess`, since only 0 is sure to be in range.
    """

    def __init__(self, model, shape, guess=0):
        generator = np.random.default_rng(0)
        num_values = model.likelihood.num_values
        self.unit_shape = model.likelihood.unit_shape(shape)
        affordable = int(_AFFORDABLE / max(cost_of_image(model, shape), 1))
        num_pairs = np.clip(affordable, _FEWEST_PAIRS, _MOST_PAIRS)
        self.units = _places(self.unit_shape, num_pairs, generator)
        size = (len(self.units), *shape)
        self.images = generator.integers(num_values, size=size)
        later = np.arange(self.num_units) >= self.units[:, None]
        color_axis = [1] * (len(shape) - len(self.unit_shape))
        later = later.reshape(-1, *self.unit_shape, *color_axis)
        others = other_values(generator, self.images, num_values)
        self.changed = np.where(later, others, self.images)
        self.conditions = random_conditions(model, size, generator, guess)

    def inputs(self, images, index=slice(None)):
        """Return some of the original or changed images, with their conditions."""
        return [values[index] for values in (images, *self.conditions)]

    @property
    def num_changed(self):
        """Number of images in a smaller batch of changed ones."""
        # Eleven of thirteen, see `_MOST_PAIRS`.
        return len(self.units) - (2 if len(self.units) > 10 else 1)

    @property
    def num_units(self):
        """Number of units of an image."""
        return int(np.prod(self.unit_shape))


def _places(shape, number, generator):
    height, width, *colors = shape
    size = int(np.prod(shape))
    num_colors = colors[0] if colors else 1
    rows = np.unique(np.linspace(0, height - 1, _NUM_ROW_ENDS).astype(int))
    ends = ((rows + 1) * width - 1) * num_colors + np.arange(len(rows)) % num_colors
    middle = (height // 2 * width + width // 2) * num_colors + num_colors // 2
    places = [middle, 0, size - 1, *ends, *generator.permutation(size)]
    chosen = np.resize(list(dict.fromkeys(places)), number - 1)
    return np.array([size, *np.sort(chosen)])


def random_conditions(model, images_shape, generator, guess):
    """Return random arrays for the inputs besides the images, of their dtypes.

    Args:
        model: An `AutoregressiveModel`.
        images_shape: `(images, height, width, colors)`, which gives unknown sizes.
        generator: `np.random.Generator`.
        guess: Largest value of integers whose range is not known.
    """
    conditions = []
    for tensor in model.inputs[1:]:
        size = [images_shape[0], *tensor.shape[1:]]
        if len(size) == 4:
            pairs = zip(size[1:3], images_shape[1:3], strict=True)
            size[1:3] = [here or there for here, there in pairs]
        size = [length or 1 for length in size]
        if "float" in tensor.dtype:
            values = generator.normal(size=size)
        else:
            limits = model.condition_ranges.get(tensor.name, (0, guess))
            values = generator.integers(*limits, size=size, endpoint=True)
        conditions.append(values.astype(tensor.dtype))
    return conditions


def other_values(generator, images, num_values):
    """Return images that differ from `images` in every sub-pixel.

    Args:
        generator: `np.random.Generator`.
        images: int64 array of numbers from 0 to `num_values - 1`.
        num_values: Number of values, at least 2.
    """
    changes = generator.integers(1, num_values, size=images.shape)
    return (images + changes) % num_values


def change_of_units(before, after, num_units):
    """Return the largest change of the output in each unit.

    Args:
        before: Output for the original images, `(images, ...)`, in the order in which
            pixels are drawn.
        after: Output for the changed images, of the same shape.
        num_units: Number of units (sub-pixels or pixels) of an image.

    Returns:
        Largest absolute change in each unit, float64 of shape `(images, num_units)`.
        Values that are not finite before or after count as unchanged.
    """
    changes = []
    for old, new in zip(before, after, strict=True):
        finite = np.isfinite(old) & np.isfinite(new)
        # The difference of two float32 parameters can overflow float32.
        old, new = (np.where(finite, x, 0).astype("float64") for x in (old, new))
        changes.append(np.abs(new - old).reshape(num_units, -1).max(axis=1))
    return np.stack(changes)
