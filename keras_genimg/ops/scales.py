"""Images at several scales.

A scale is `(height, width)`. A smaller image holds the top-left pixel of each cell of
the larger one, or the mean of each cell. If it holds the top-left pixels, these are the
copied pixels of the larger image, and the others are its new pixels.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_genimg.ops.checks import check_positive_int
from keras_genimg.types import TensorLike

Scale = tuple[int, int]


def check_scales(
    scales: Sequence[int | Sequence[int]], image_shape: Sequence[int], owner: str
) -> list[Scale]:
    """Return scales as pairs of integers.

    Args:
        scales: An integer for a square, or `(height, width)`, from small to large.
        image_shape: `(height, width, colors)`.
        owner: Name of the class that takes the argument, for error texts.

    Raises:
        ValueError: If there are fewer than two scales, one is no multiple of the one
            before or not larger, or the last is not the size of the image.
    """
    if not isinstance(scales, (tuple, list)) or len(scales) < 2:
        raise ValueError(
            f"`scales` of {owner} must be a tuple of at least two sizes, such as "
            f"(8, 16, 32). For a single scale, use PixelRNN. Received: scales={scales}"
        )
    pairs = [_pair(scale, scales, owner) for scale in scales]
    for (height, width), (next_height, next_width) in itertools.pairwise(pairs):
        grows = (next_height, next_width) != (height, width)
        if next_height % height or next_width % width or not grows:
            raise ValueError(
                f"Each of the `scales` of {owner} must be a multiple of the one before "
                f"in height and width, and larger. Received: scales={scales}, where "
                f"{(next_height, next_width)} follows {(height, width)}"
            )
    if pairs[-1] != tuple(image_shape[:2]):
        raise ValueError(
            f"The last of the `scales` of {owner} must be the size of the image. "
            f"Received: scales={scales}, image_shape={tuple(image_shape)}"
        )
    return pairs


def _pair(scale: Any, scales, owner):
    sizes = scale if isinstance(scale, (tuple, list)) else (scale, scale)
    if len(sizes) != 2:
        raise ValueError(
            f"A scale of {owner} must be an integer for a square, or (height, width). "
            f"Received: {scale!r} in scales={scales}"
        )
    height, width = (check_positive_int("scales", size, owner) for size in sizes)
    return height, width


def factors_between(small: Sequence[int], large: Sequence[int]) -> Scale:
    """Return how many times higher and wider the large scale is."""
    return large[0] // small[0], large[1] // small[1]


def reduced(images: Any, factors: Scale, subsampling: str) -> Any:
    """Return one pixel for each cell of `factors` pixels.

    Args:
        images: Integers as floats or integers, `(batch, height, width, colors)`.
        factors: Height and width of a cell.
        subsampling: `"top_left"` for the top-left pixel, or `"box"` for the mean,
            rounded; halves are rounded up.

    Returns:
        A tensor of the same type, or an array for an array.
    """
    if subsampling == "top_left":
        return images[:, :: factors[0], :: factors[1]]
    height, width, colors = images.shape[1:]
    rows, columns = height // factors[0], width // factors[1]
    shape = (-1, rows, factors[0], columns, factors[1], colors)
    cells = tf.reshape(tf.cast(images, tf.int32), shape)
    sums = tf.reduce_sum(cells, axis=(2, 4))
    # Means are computed in integers, since XLA and plain graphs round a mean of floats
    # differently.
    count = factors[0] * factors[1]
    means = tf.cast((2 * sums + count) // (2 * count), images.dtype)
    return means.numpy() if isinstance(images, np.ndarray) else means


def scale_images(images: Any, scales: Sequence[Scale], subsampling: str) -> list[Any]:
    """Return images at all scales, from small to large.

    Args:
        images: Images of the largest scale.
        scales: Scales from small to large.
        subsampling: `"top_left"` or `"box"`.
    """
    parts = [images]
    for small, large in reversed(list(itertools.pairwise(scales))):
        parts.append(reduced(parts[-1], factors_between(small, large), subsampling))
    return parts[::-1]


def packed(parts: Sequence[TensorLike]) -> tf.Tensor:
    """Return maps of all scales as one map of width 1, from small to large.

    Args:
        parts: Maps of shape `(batch, height, width, ...)`, whose sizes are known except
            for the batch.

    Returns:
        A map of shape `(batch, all pixels, 1, ...)`.
    """
    columns = [
        tf.reshape(part, (-1, part.shape[1] * part.shape[2], 1, *part.shape[3:]))
        for part in parts
    ]
    return tf.concat(columns, axis=1)


def unpacked(pixels: tf.Tensor, scales: Sequence[Scale]) -> list[tf.Tensor]:
    """Return the maps that `packed` has joined."""
    sizes = [height * width for height, width in scales]
    columns = tf.split(pixels, sizes, axis=1)
    return [
        tf.reshape(column, (tf.shape(pixels)[0], *scale, *pixels.shape[3:]))
        for column, scale in zip(columns, scales, strict=True)
    ]


def placed(small: TensorLike, factors: Scale) -> tf.Tensor:
    """Return small images with each pixel repeated over a cell of `factors` pixels."""
    return tf.repeat(tf.repeat(small, factors[0], axis=1), factors[1], axis=2)


def is_copied(scale: Scale, factors: Scale) -> np.ndarray:
    """Return which pixels of a scale the next smaller one has, a boolean map."""
    copied = np.zeros(scale, bool)
    copied[:: factors[0], :: factors[1]] = True
    return copied


def smallest_scales(scales: Sequence[Scale]) -> np.ndarray:
    """Return the index of the smallest scale that has a pixel, for all pixels."""
    found = np.full(scales[-1], len(scales) - 1)
    for index in reversed(range(len(scales))):
        found[is_copied(scales[-1], factors_between(scales[index], scales[-1]))] = index
    return found


def scale_order(scales: Sequence[Scale]) -> np.ndarray:
    """Return the pixels of the last scale in the order in which they are sampled.

    Scales follow each other from small to large. Within one, the new pixels are in
    raster order.

    Args:
        scales: Scales from small to large.

    Returns:
        Flat indices of the pixels, `(height * width,)`.
    """
    return np.argsort(smallest_scales(scales).ravel(), kind="stable")
