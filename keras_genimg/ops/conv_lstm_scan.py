"""The scan that RowLSTM and DiagonalBiLSTM share, with its gradient written out."""

import tensorflow as tf
from keras import ops

from keras_genimg.ops.lines import shift_line, shifted_lines


def conv_lstm_scan(inputs, kernel, hidden, cell, cell_size, first_offset):
    """Run an LSTM whose state is a line of cells with a convolution along the line.

    At step `t`, with `n` the cells at the taps' offsets from a cell, and hidden states
    zero beyond the ends of the line:

        [o, f, i, g] = inputs[t] + concat(hidden[n]) @ kernel
        cell = sigmoid(f) * cell + sigmoid(i) * tanh(g)
        hidden = sigmoid(o) * tanh(cell)

    The gradient is written by hand. Automatic differentiation of the loop would keep
    every intermediate tensor and add to the kernel's gradient at each step. Here the
    forward loop keeps the two states alone; the gates follow from them for all steps at
    once, since no step then waits for another; the backward loop carries the gradients
    of the states; and the kernel's gradient is one product after it.

    Args:
        inputs: Input-to-state map with bias, time first, of shape
            `(steps, directions, line * cell_size, 4 * units)`.
        kernel: State-to-state kernel of shape `(directions, taps, units, 4 * units)`.
        hidden: Hidden state before the first step, of shape
            `(directions, line * cell_size, units)`.
        cell: Cell state before the first step, of the same shape.
        cell_size: Rows that one cell of the line has, which is the batch size.
        first_offset: Offset of the first tap; tap `k` reads cell
            `position + first_offset + k`.

    Returns:
        Hidden states of all steps, `(steps, directions, line * cell_size, units)`, and
        the last cell state.

    Raises:
        ValueError: If a second derivative is asked for.

    References:
        van den Oord et al., Pixel Recurrent Neural Networks, 2016, equation 3.
    """
    directions, taps, units, _ = kernel.shape
    offsets = range(first_offset, first_offset + taps)
    kernel = tf.reshape(kernel, (directions, taps * units, 4 * units))
    if directions == 1:
        # Without the axis, products are plain and slices of the line copy nothing.
        states, cell = _scan(
            inputs[:, 0], kernel[0], hidden[0], cell[0], offsets, cell_size
        )
        return states[:, None], cell[None]
    return _scan(inputs, kernel, hidden, cell, offsets, cell_size)


def _scan(inputs, kernel, hidden, cell, offsets, cell_size):
    """Run `conv_lstm_scan` on arguments with or without an axis of directions."""

    @tf.custom_gradient
    def scan(inputs, kernel, hidden, cell):
        states, cells = _forward(inputs, kernel, hidden, cell, offsets, cell_size)

        @_first_derivative_only
        def backward(d_states, d_cell, inputs, kernel, hidden, cell):
            earlier = tf.concat([hidden[None], states[:-1]], axis=0)
            earlier_cells = tf.concat([cell[None], cells[:-1]], axis=0)
            neighbors = shifted_lines(earlier, offsets, cell_size)
            gates = _gates(inputs + _product(neighbors, kernel))
            d_inputs, d_hidden, d_cell = _backward(
                (d_states, d_cell),
                *_local_derivatives(gates, cells, earlier_cells),
                kernel,
                offsets,
                cell_size,
            )
            return d_inputs, _kernel_gradient(neighbors, d_inputs), d_hidden, d_cell

        def gradient(d_states, d_cell):
            return backward(d_states, d_cell, inputs, kernel, hidden, cell)

        return (states, cells[-1]), gradient

    return scan(inputs, kernel, hidden, cell)


def _product(neighbors, kernel):
    """Return `neighbors @ kernel` for all steps."""
    if len(kernel.shape) == 3:
        return tf.matmul(neighbors, kernel)
    rows = tf.matmul(_rows(neighbors), kernel)
    return tf.reshape(rows, (*ops.shape(neighbors)[:-1], kernel.shape[-1]))


def _kernel_gradient(neighbors, d_inputs):
    if len(d_inputs.shape) == 4:
        products = tf.matmul(neighbors, d_inputs, transpose_a=True)
        return tf.reduce_sum(products, axis=0)
    return tf.matmul(_rows(neighbors), _rows(d_inputs), transpose_a=True)


def _rows(tensor):
    return tf.reshape(tensor, (-1, tensor.shape[-1]))


def _gates(summed):
    """Return o, f, i together, and g."""
    units = summed.shape[-1] // 4
    return tf.sigmoid(summed[..., : 3 * units]), tf.tanh(summed[..., 3 * units :])


def _forward(inputs, kernel, hidden, cell, offsets, cell_size):
    """Return the hidden and cell states of all steps."""
    steps = ops.shape(inputs)[0]

    def step(t, hidden, cell, states, cells):
        neighbors = shifted_lines(hidden, offsets, cell_size)
        sigmoids, g = _gates(inputs[t] + tf.matmul(neighbors, kernel))
        o, f, i = tf.split(sigmoids, 3, axis=-1)
        cell = f * cell + i * g
        hidden = o * tf.tanh(cell)
        return t + 1, hidden, cell, states.write(t, hidden), cells.write(t, cell)

    arrays = [_array(inputs, steps, hidden.shape) for _ in range(2)]
    *_, states, cells = tf.while_loop(
        lambda t, *_: t < steps,
        step,
        (tf.constant(0), hidden, cell, *arrays),
        maximum_iterations=steps,
    )
    return states.stack(), cells.stack()


def _local_derivatives(gates, cells, earlier_cells):
    """Return what a step of the backward loop multiplies by, for all steps at once.

    Returns:
        The derivative of the cell state by the hidden state's; of the summed inputs of
        each gate by the hidden state (o) or the cell state (f, i, g) it acts on; and
        of the cell state by the one before.
    """
    sigmoids, g = gates
    o, f, i = tf.split(sigmoids, 3, axis=-1)
    squashed = tf.tanh(cells)
    slopes = sigmoids * (1 - sigmoids)
    acted_on = tf.concat([squashed, earlier_cells, g], axis=-1)
    by_gate = tf.concat([acted_on * slopes, i * (1 - g * g)], axis=-1)
    return o * (1 - squashed * squashed), by_gate, f


def _backward(gradients, by_hidden, by_gate, forget, kernel, offsets, cell_size):
    """Return the gradients of inputs, hidden and cell."""
    d_states, d_cell = gradients
    steps = ops.shape(d_states)[0]
    taps = len(offsets)

    def step(t, d_hidden, d_cell, d_inputs):
        d_hidden += d_states[t]
        d_cell += d_hidden * by_hidden[t]
        d_summed = tf.concat([d_hidden, d_cell, d_cell, d_cell], axis=-1) * by_gate[t]
        d_neighbors = tf.matmul(d_summed, kernel, transpose_b=True)
        d_hidden = tf.add_n(
            [
                shift_line(part, -offset, cell_size)
                for part, offset in zip(
                    tf.split(d_neighbors, taps, axis=-1), offsets, strict=True
                )
            ]
        )
        return t - 1, d_hidden, d_cell * forget[t], d_inputs.write(t, d_summed)

    shape = (*d_cell.shape[:-1], kernel.shape[-1])
    _, d_hidden, d_cell, d_inputs = tf.while_loop(
        lambda t, *_: t >= 0,
        step,
        (
            tf.convert_to_tensor(steps - 1),
            tf.zeros_like(d_cell),
            d_cell,
            _array(d_states, steps, shape),
        ),
        maximum_iterations=steps,
    )
    return d_inputs.stack(), d_hidden, d_cell


def _array(like, steps, element_shape):
    return tf.TensorArray(like.dtype, size=steps, element_shape=element_shape)


def _first_derivative_only(function):
    """Return a function whose own gradient is refused instead of silently wrong."""

    @tf.custom_gradient
    def wrapped(*arguments):
        def refuse(*_):
            raise ValueError(
                "RowLSTM and DiagonalBiLSTM have no second derivatives: their gradient "
                "is written by hand. Take gradients once, or stop the inner one with "
                "tf.stop_gradient."
            )

        return function(*arguments), refuse

    return wrapped
