"""Neighbours along a line of cells."""

import tensorflow as tf
from keras import ops


def shift_line(line, offset, cell_size=1):
    """Give each cell of a line what its neighbour holds, and zero beyond the ends.

    `outputs[..., p, :] = line[..., p + offset * cell_size, :]`.

    Args:
        line: Tensor whose second-last axis is the line.
        offset: Which neighbour, an integer.
        cell_size: Rows of the axis that one cell has, an integer or a scalar tensor.

    Returns:
        A tensor of the shape of `line`.
    """
    if offset == 0:
        return line
    axis = len(line.shape) - 2
    return _shift(line, offset, cell_size, axis)


def shifted_lines(line, offsets, cell_size=None):
    """Concatenate the neighbours of each cell on the last axis.

    Args:
        line: Tensor whose second-last axis is a line of cells of `cell_size` rows, or,
            if there is no `cell_size`, whose first axis is the line.
        offsets: Offsets of the neighbours.
        cell_size: Rows of the axis that one cell has.
    """
    axis, size = (0, 1) if cell_size is None else (len(line.shape) - 2, cell_size)
    return tf.concat(
        [_shift(line, offset, size, axis) if offset else line for offset in offsets],
        axis=-1,
    )


def _shift(line, offset, cell_size, axis):
    distance = abs(offset) * cell_size
    length = ops.shape(line)[axis]
    padding = [[0, 0] for _ in line.shape]
    padding[axis] = [distance, 0] if offset < 0 else [0, distance]
    start = 0 if offset < 0 else distance
    window = [slice(None)] * len(line.shape)
    window[axis] = slice(start, start + length)
    shifted = tf.pad(line, padding)[tuple(window)]
    shifted.set_shape(line.shape)
    return shifted
