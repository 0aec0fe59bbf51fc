"""Random images, each with a copy that differs from some sub-pixel on."""

import math
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import tensorflow as tf

from keras_genimg.inputs.calls import cost_of_image
from keras_genimg.model_types import ImageModel, PixelModel
from keras_genimg.sampling.forward_passes import forward_pass
from keras_genimg.types import Array, Shape

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
        conditions: List of one array per condition, whose elements are repeated as
            often as there are pairs. By default, see `random_conditions`.

    Attributes:
        unit_shape: Shape of an image in units.
        units: Flat index of the first changed unit of each image, `(pairs,)`; the
            number of units for none.
        before: The model's inputs, one array each, with one element per pair: the
            original images, then the conditions.
        after: The same, with the changed images.
    """

    def __init__(
        self,
        model: PixelModel,
        shape: Shape,
        conditions: Sequence[Array] | None = None,
    ):
        generator = np.random.default_rng(0)
        # An autoregressive model has finitely many values.
        num_values = cast("int", model.likelihood.num_values)
        self.unit_shape = model.likelihood.unit_shape(shape)
        affordable = int(_AFFORDABLE / max(cost_of_image(model, shape), 1))
        num_pairs = np.clip(affordable, _FEWEST_PAIRS, _MOST_PAIRS)
        self.units = _places(self.unit_shape, num_pairs, generator)
        images = generator.integers(num_values, size=(len(self.units), *shape))
        flat = np.arange(math.prod(self.unit_shape))
        color_axis = [1] * (len(shape) - len(self.unit_shape))
        later = (flat >= self.units[:, None]).reshape(-1, *self.unit_shape, *color_axis)
        others = other_values(generator, images, num_values)
        changed = np.where(later, others, images)
        if conditions is None:
            conditions = random_conditions(model, images.shape, generator)
        else:
            count = len(self.units)
            conditions = [np.resize(x, (count, *x.shape[1:])) for x in conditions]
        self.before, self.after = [images, *conditions], [changed, *conditions]


def _places(shape: Shape, number: int, generator: np.random.Generator) -> Array:
    height, width, *colors = shape
    size = math.prod(shape)
    num_colors = colors[0] if colors else 1
    rows = np.unique(np.linspace(0, height - 1, _NUM_ROW_ENDS).astype(int))
    ends = ((rows + 1) * width - 1) * num_colors + np.arange(len(rows)) % num_colors
    middle = (height // 2 * width + width // 2) * num_colors + num_colors // 2
    places = [middle, 0, size - 1, *ends, *generator.permutation(size)]
    chosen = np.resize(list(dict.fromkeys(places)), number - 1)
    return np.array([size, *np.sort(chosen)])


def random_conditions(
    model: ImageModel, images_shape: Shape, generator: np.random.Generator
) -> list[Array]:
    """Return random arrays for the inputs besides the images, of their dtypes.

    Integers of an unknown range are 0 or 1, or 0 alone if the model fails on 1.

    Args:
        model: A `GenerativeModel`.
        images_shape: `(images, height, width, colors)`, which gives unknown sizes of
            maps; others are 1.
        generator: `np.random.Generator`.
    """

    def conditions(guess: int) -> Iterator[Array]:
        for tensor in model.inputs[1:]:
            size = [images_shape[0], *tensor.shape[1:]]
            others = images_shape if len(size) == 4 else [1] * len(size)
            size = [known or other for known, other in zip(size, others, strict=True)]
            if "float" in tensor.dtype:
                values = generator.normal(size=size)
            else:
                limits = model.condition_ranges.get(tensor.name, (0, guess))
                values = generator.integers(*limits, size=size, endpoint=True)
            yield values.astype(tensor.dtype)

    given = list(conditions(guess=1))
    integers = {tensor.name for tensor in model.inputs[1:] if "int" in tensor.dtype}
    if integers - set(model.condition_ranges):
        try:
            forward_pass(model, tf.zeros(images_shape), [*map(tf.constant, given)])
        except Exception:  # Custom code can raise anything.
            return list(conditions(guess=0))
    return given


def other_values(
    generator: np.random.Generator, images: Array, num_values: int
) -> Array:
    """Return images that differ from `images` in every sub-pixel.

    Args:
        generator: `np.random.Generator`.
        images: int64 array of numbers from 0 to `num_values - 1`.
        num_values: Number of values, at least 2.
    """
    changes = generator.integers(1, num_values, size=images.shape)
    return (images + changes) % num_values
