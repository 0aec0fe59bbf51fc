"""Neighbors along a line of cells."""

import tensorflow as tf
from keras import ops


def shift_line(line, offset, cell_size=1, axis=-2):
    """Shift a line of cells by `offset` cells, with zeros beyond the ends.

    `outputs[p] = line[p + offset * cell_size]` along the line's axis.

    Args:
        line: Tensor with a line of cells along one axis.
        offset: Number of cells to shift by, an integer.
        cell_size: Entries of the axis per cell, an integer or a scalar tensor.
        axis: The line's axis.

    Returns:
        A tensor with the shape of `line`.
    """
    return _windows(line, [offset], cell_size, axis)[0]


def shifted_lines(line, offsets, cell_size=1, axis=-2):
    """Concatenate the neighbors of each cell on the last axis.

    Args:
        line: Tensor with a line of cells along one axis.
        offsets: Offsets of the neighbors, a list of integers.
        cell_size: Entries of the axis per cell, an integer or a scalar tensor.
        axis: The line's axis.
    """
    return tf.concat(_windows(line, offsets, cell_size, axis), axis=-1)


def _windows(line, offsets, cell_size, axis):
    before, after = max(0, -min(offsets)), max(0, max(offsets))
    axis %= len(line.shape)
    length = ops.shape(line)[axis]
    padding = [[0, 0] for _ in line.shape]
    padding[axis] = [before * cell_size, after * cell_size]
    padded = tf.pad(line, padding) if before or after else line
    windows = []
    for offset in offsets:
        if not offset:
            windows.append(line)
            continue
        # The gradient of an index such as `padded[start:]` would be slower.
        begin = [0] * len(line.shape)
        begin[axis] = (before + offset) * cell_size
        size = [-1] * len(line.shape)
        size[axis] = length
        windows.append(tf.slice(padded, begin, size))
        windows[-1].set_shape(line.shape)
    return windows
