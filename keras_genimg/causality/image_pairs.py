"""Random images, each with a copy that differs from some sub-pixel on."""

import numpy as np

from keras_genimg.causality.changes import other_values

_NUM_PAIRS = 16
_NUM_ROW_ENDS = 5


class ImagePairs:
    """Pairs of images that a causal model cannot tell apart up to a given unit.

    A unit is a sub-pixel, or a whole pixel if the model's likelihood sets
    `couples_colors` to True. There are sixteen pairs, or fewer for smaller images. The
    second image of a pair differs from the first in every sub-pixel from some unit on.
    The units include the first, the last and some at ends of rows; the others are
    random. The pairs are the same at every call.

    Args:
        model: An `AutoregressiveModel`.
        shape: `(height, width, colors)`.

    Attributes:
        unit_shape: Shape of an image in units.
        units: Flat index of the first changed unit of each image, `(pairs,)`.
        images: Original images, `(pairs, height, width, colors)`.
        changed: Changed images, `(pairs, height, width, colors)`.
        conditions: One array per further input of the model, with one element per
            image. Integers of a known range are random. Others are 0, the only value
            sure to be in range.
    """

    def __init__(self, model, shape):
        generator = np.random.default_rng(0)
        num_values = model.likelihood.num_values
        self.unit_shape = model.likelihood.unit_shape(shape)
        self.units = _places(self.unit_shape, generator)
        size = (len(self.units), *shape)
        self.images = generator.integers(num_values, size=size)
        later = np.arange(self.num_units) >= self.units[:, None]
        color_axis = [1] * (len(shape) - len(self.unit_shape))
        later = later.reshape(-1, *self.unit_shape, *color_axis)
        others = other_values(generator, self.images, num_values)
        self.changed = np.where(later, others, self.images)
        ranges = getattr(model, "condition_ranges", {})
        self.conditions = [
            _random_values(tensor, size, ranges.get(tensor.name), generator)
            for tensor in model.inputs[1:]
        ]

    @property
    def num_units(self):
        """Number of units of an image."""
        return int(np.prod(self.unit_shape))


def _places(shape, generator):
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


def _random_values(tensor, images_shape, limits, generator):
    """Return random values for an input, with unknown sizes taken from the images."""
    size = [images_shape[0], *tensor.shape[1:]]
    if len(size) == 4:
        size[1:3] = [n or m for n, m in zip(size[1:3], images_shape[1:3], strict=True)]
    size = [n or 1 for n in size]
    if "float" in tensor.dtype:
        return generator.normal(size=size)
    low, high = limits or (0, 0)
    return generator.integers(low, high, size=size, endpoint=True)
