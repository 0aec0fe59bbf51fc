"""Scan shared by RowLSTM and DiagonalBiLSTM, with a hand-written gradient."""

import tensorflow as tf
from keras import ops

from keras_genimg.ops.graphs import custom_gradient, traced_once


def conv_lstm_scan(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    hidden: tf.Tensor,
    cell: tf.Tensor,
    cell_size: int | tf.Tensor,
    first_offset: int,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Run a convolutional LSTM whose state is a line of cells.

    At step `t`, where `n` are the cells at the taps' offsets from a cell and hidden
    states are zero beyond the ends of the line:

        [o, f, i, g] = inputs[t] + concat(hidden[n]) @ kernel
        cell = sigmoid(f) * cell + sigmoid(i) * tanh(g)
        hidden = sigmoid(o) * tanh(cell)

    The gradient is written by hand. Automatic differentiation of the loop would keep
    every intermediate tensor and update the kernel's gradient at each step. Here, the
    forward loop keeps only states and gates, the backward loop carries only the
    gradients of the two states, and the kernel's gradient is a single product after the
    loop. Kept values are plain tensors: a SavedModel with gradients cannot hold the
    tensor lists of the loops.

    Args:
        inputs: Input-to-state map with bias, time first, of shape
            `(steps, directions, line * cell_size, 4 * units)`.
        kernel: State-to-state kernel of shape `(directions, taps, units, 4 * units)`, a
            tensor or a variable, which is cast to the dtype of `inputs`.
        hidden: Hidden state before the first step, of shape
            `(directions, line * cell_size, units)`.
        cell: Cell state before the first step, of the same shape.
        cell_size: Entries per cell of the line, which is the batch size.
        first_offset: Offset of the first tap; tap `k` reads cell
            `position + first_offset + k`.

    Returns:
        Hidden states of all steps, `(steps, directions, line * cell_size, units)`, the
        last of them, and the last cell state.

    Raises:
        ValueError: If a second derivative is computed.

    References:
        van den Oord et al., Pixel Recurrent Neural Networks, 2016, equation 3.
    """
    directions, taps, units, _ = kernel.shape
    offsets = tuple(range(first_offset, first_offset + taps))
    kernel = tf.cast(kernel, inputs.dtype)
    kernel = tf.reshape(kernel, (directions, taps * units, 4 * units))
    if directions == 1:
        # If this axis is left out, products are not batched and slices need no copy.
        # The gradient of an index such as `[:, 0]` would copy all steps.
        arguments = (
            tf.squeeze(inputs, 1),
            *(tf.squeeze(tensor, 0) for tensor in (kernel, hidden, cell)),
        )
        states, *last = _scan(*arguments, offsets, cell_size)
        return tf.expand_dims(states, 1), *(tf.expand_dims(each, 0) for each in last)
    return _scan(inputs, kernel, hidden, cell, offsets, cell_size)


def _scan(inputs, kernel, hidden, cell, offsets, cell_size):
    """Run `conv_lstm_scan` with or without the axis of directions."""

    @custom_gradient
    def scan(inputs, kernel, hidden, cell):
        states, cells, *gates = _forward(
            inputs, kernel, hidden, cell, offsets, cell_size
        )

        # A derivative of this would be wrong, since the kept values count as constants.
        @custom_gradient
        def backward(d_states, d_hidden, d_cell, inputs, *arguments):
            gradients = _backward(
                (d_states, d_hidden, d_cell),
                (states, cells, gates),
                arguments,
                offsets,
                cell_size,
            )
            return gradients, _refuse_second_derivative

        def gradient(*gradients):
            return backward(*gradients, inputs, kernel, hidden, cell)

        return [states, states[-1], cells[-1]], gradient

    return scan(inputs, kernel, hidden, cell)


@traced_once
def _forward(inputs, kernel, hidden, cell, offsets, cell_size):
    """Run the forward loop.

    Returns:
        For all steps: hidden states, cell states, the gates o, f and i concatenated,
        the gate g, and the hyperbolic tangent of the cell states.
    """
    steps = ops.shape(inputs)[0]
    units = hidden.shape[-1]

    def step(t, hidden, cell, *arrays):
        neighbors = shifted_lines(hidden, offsets, cell_size)
        summed = inputs[t] + tf.matmul(neighbors, kernel)
        sigmoids = tf.sigmoid(summed[..., : 3 * units])
        g = tf.tanh(summed[..., 3 * units :])
        o, f, i = tf.split(sigmoids, 3, axis=-1)
        cell = f * cell + i * g
        squashed = tf.tanh(cell)
        hidden = o * squashed
        values = (hidden, cell, sigmoids, g, squashed)
        arrays = [a.write(t, value) for a, value in zip(arrays, values, strict=True)]
        return t + 1, hidden, cell, *arrays

    widths = (units, units, 3 * units, units, units)
    arrays = [_array(inputs, steps, (*hidden.shape[:-1], width)) for width in widths]
    _, _, _, *arrays = tf.while_loop(
        lambda t, *_: t < steps,
        step,
        (tf.constant(0), hidden, cell, *arrays),
        maximum_iterations=steps,
    )
    return [array.stack() for array in arrays]


@traced_once
def _backward(gradients, kept, arguments, offsets, cell_size):
    """Return the gradients of inputs, kernel, hidden and cell."""
    d_states, d_hidden, d_cell = gradients
    states, cells, (sigmoids, g, squashed) = kept
    kernel, first_hidden, first_cell = arguments
    earlier_cells = tf.concat([first_cell[None], cells[:-1]], axis=0)
    steps = ops.shape(d_states)[0]

    def step(t, d_hidden, d_cell, d_inputs):
        o, f, i = tf.split(sigmoids[t], 3, axis=-1)
        d_hidden += d_states[t]
        d_cell += tf.raw_ops.TanhGrad(y=squashed[t], dy=d_hidden * o)
        d_summed = tf.concat(
            [
                tf.raw_ops.SigmoidGrad(y=o, dy=d_hidden * squashed[t]),
                tf.raw_ops.SigmoidGrad(y=f, dy=d_cell * earlier_cells[t]),
                tf.raw_ops.SigmoidGrad(y=i, dy=d_cell * g[t]),
                tf.raw_ops.TanhGrad(y=g[t], dy=d_cell * i),
            ],
            axis=-1,
        )
        d_neighbors = tf.matmul(d_summed, kernel, transpose_b=True)
        # The cell at an offset has read this one, so its gradient returns by the
        # opposite offset.
        d_hidden = tf.add_n(
            [
                _windows(part, [-offset], cell_size)[0]
                for part, offset in zip(
                    tf.split(d_neighbors, len(offsets), axis=-1), offsets, strict=True
                )
            ]
        )
        return t - 1, d_hidden, d_cell * f, d_inputs.write(t, d_summed)

    shape = (*d_cell.shape[:-1], kernel.shape[-1])
    _, d_hidden, d_cell, d_inputs = tf.while_loop(
        lambda t, *_: t >= 0,
        step,
        (
            tf.convert_to_tensor(steps - 1),
            d_hidden,
            d_cell,
            _array(d_states, steps, shape),
        ),
        maximum_iterations=steps,
    )
    d_inputs = d_inputs.stack()
    # The kernel's gradient is one product over all steps, instead of a sum in the loop.
    earlier = tf.concat([first_hidden[None], states[:-1]], axis=0)
    neighbors = shifted_lines(earlier, offsets, cell_size)
    if len(d_inputs.shape) == 4:
        products = tf.matmul(neighbors, d_inputs, transpose_a=True)
        d_kernel = tf.reduce_sum(products, axis=0)
    else:
        rows = (tf.reshape(x, (-1, x.shape[-1])) for x in (neighbors, d_inputs))
        d_kernel = tf.matmul(*rows, transpose_a=True)
    return d_inputs, d_kernel, d_hidden, d_cell


def _array(like, steps, element_shape):
    return tf.TensorArray(like.dtype, size=steps, element_shape=element_shape)


def _refuse_second_derivative(*_):
    raise ValueError(
        "RowLSTM and DiagonalBiLSTM have no second derivatives, since their gradient "
        "is written by hand. Take gradients once, or stop the inner one with "
        "tf.stop_gradient."
    )


def shifted_lines(line, offsets, cell_size=1, axis=-2):
    """Concatenate the neighbors of each cell on the last axis.

    Beyond the ends of the line there are zeros.

    Args:
        line: Tensor with a line of cells along one axis.
        offsets: Offsets of the neighbors, a list of integers.
        cell_size: Entries of the axis per cell, an integer or a scalar tensor.
        axis: The line's axis.
    """
    return tf.concat(_windows(line, offsets, cell_size, axis), axis=-1)


def _windows(line, offsets, cell_size, axis=-2):
    """Return the line shifted by each of some offsets, with zeros beyond its ends."""
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
