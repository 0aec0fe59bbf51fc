"""Skewing of maps, which turns their diagonals into steps of a scan."""

import itertools
import typing
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_genimg.ops.graphs import custom_gradient, traced_once


class SkewedMap(typing.NamedTuple):
    """Layout of a map whose row `r` is shifted right by `r` columns.

    Step `t` of the skewed map holds the pixels `(r, t - r)` of one diagonal. A second
    direction holds those of the mirrored map. Pixels outside the map are padding.

    A diagonal crosses only some rows. To compute less padding, the steps are split into
    segments. Each segment has the rows that its diagonals cross and the row above them.
    If the size of the map is not known, there is a single segment.

    Args:
        height: Height of the map, an integer or a scalar tensor.
        width: Width of the map, an integer or a scalar tensor.
        num_segments: Largest number of segments to split the steps into.

    Attributes:
        segments: List of `(first_step, end_step, first_row, end_row)`.

    References:
        van den Oord et al., Pixel Recurrent Neural Networks, 2016, section 3.2,
        figure 3.
    """

    height: int | tf.Tensor
    width: int | tf.Tensor
    num_segments: int

    @property
    def segments(self) -> list[tuple[int | tf.Tensor, ...]]:
        height, width, num_segments = self
        steps = height + width - 1
        if not isinstance(steps, int):
            return [(0, steps, 0, height)]
        bounds = np.unique(np.linspace(0, steps, num_segments + 1).round())
        return [
            (first, end, max(0, first - width), min(height, end))
            for first, end in itertools.pairwise(bounds.astype(int).tolist())
        ]

    def skew(self, flat_map: tf.Tensor) -> list[tf.Tensor]:
        """Arrange the pixels of a map in segments.

        Args:
            flat_map: One entry per pixel in raster order, then one for padding, of
                shape `(height * width + 1, ...)`.

        Returns:
            A tensor of shape `(steps, 2, rows, ...)` for each segment.
        """

        @custom_gradient
        def gather(flat_map):
            return _skew(flat_map, self), lambda *d: _skew_gradient(d, self)

        return gather(flat_map)

    def unskew(self, segments: Sequence[tf.Tensor]) -> tf.Tensor:
        """Add the maps of the two directions, the second one shifted down by one row.

        The second map is mirrored back first. The shift keeps the sum causal: in the
        second map, a pixel has seen the part of its row that is sampled later.

        Args:
            segments: A tensor of shape `(steps, 2, rows, ...)` for each segment.

        Returns:
            One entry per pixel, of shape `(height * width, ...)`.
        """

        @custom_gradient
        def gather(*segments):
            return [_unskew(segments, self)], lambda d: _skew(_padded(d), self, 1)

        return gather(*segments)[0]

    def pixels(self, segment: tuple[int | tf.Tensor, ...], shift: int = 0) -> tf.Tensor:
        """Return the index of the pixel at each position of a segment.

        Positions outside the map get the index of the padding.

        Args:
            segment: An entry of `segments`.
            shift: Rows to shift the second direction down by.

        Returns:
            Integers of shape `(steps, 2, rows)`.
        """
        first, end, first_row, end_row = segment
        height, width, _ = self
        row = tf.range(first_row, end_row)[None, :]
        column = tf.range(first, end)[:, None] - row
        inside = (column >= 0) & (column < width)
        left = tf.where(inside, row * width + column, height * width)
        inside &= row + shift < height
        mirrored = (row + shift) * width + width - 1 - column
        right = tf.where(inside, mirrored, height * width)
        return tf.stack([left, right], axis=1)

    def positions(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the index of each pixel in the flattened segments, per direction."""
        size = self.height * self.width + 1
        # Each direction has a number for each pixel and one for its padding. Those of
        # the second direction follow those of the first.
        starts = tf.stack([0, size])[:, None]
        pixels = _flatten([starts + self.pixels(each) for each in self.segments])
        places = tf.scatter_nd(pixels[:, None], tf.range(tf.size(pixels)), [2 * size])
        return places[: size - 1], places[size:-1]


def _flatten(segments):
    return tf.concat(
        [
            tf.reshape(segment, tf.concat([[-1], tf.shape(segment)[3:]], axis=0))
            for segment in segments
        ],
        axis=0,
    )


def _padded(flat_map):
    """Append zeros for the padding."""
    return tf.concat([flat_map, tf.zeros_like(flat_map[:1])], axis=0)


@traced_once
def _skew(flat_map, skewed, shift=0):
    return [tf.gather(flat_map, skewed.pixels(s, shift)) for s in skewed.segments]


@traced_once
def _skew_gradient(d_segments, skewed):
    # Each direction reads a pixel once, so its gradient is gathered from that place,
    # instead of scattered and summed.
    left, right = skewed.positions()
    flat = _flatten(d_segments)
    return _padded(tf.gather(flat, left) + tf.gather(flat, right))


@traced_once
def _unskew(segments, skewed):
    left, right = skewed.positions()
    flat = _flatten(segments)
    # Nothing is shifted into the first row, so it reads the zeros of the padding.
    first_row = tf.fill((skewed.width,), tf.shape(flat)[0])
    above = right[: (skewed.height - 1) * skewed.width]
    flat = _padded(flat)
    return tf.gather(flat, left) + tf.gather(flat, tf.concat([first_row, above], 0))
