"""The scan that RowLSTM and DiagonalBiLSTM share, with its gradient written out."""

import tensorflow as tf
from keras import ops

from keras_genimg.ops.lines import shift_line, shifted_lines


def conv_lstm_scan(inputs, kernel, hidden, cell, cell_size, first_offset, recompute):
    """Run an LSTM whose state is a line of cells with a convolution along the line.

    At step `t`, with `n` the cells at the taps' offsets from a cell, and hidden states
    zero beyond the ends of the line:

        [o, f, i, g] = inputs[t] + concat(hidden[n]) @ kernel
        cell = sigmoid(f) * cell + sigmoid(i) * tanh(g)
        hidden = sigmoid(o) * tanh(cell)

    The gradient is written by hand. Automatic differentiation of the loop would keep
    every intermediate tensor and add to the kernel's gradient at each step; here the
    forward loop keeps the gates, the backward loop carries the gradients of the two
    states alone, and the kernel's gradient is one product after it.

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
        recompute: Whether the gates are computed again for the gradient instead of
            kept: about a third more time for a fraction of the memory.

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

    @tf.custom_gradient
    def scan(inputs, kernel, hidden, cell):
        states, last_cell, kept = _forward(
            inputs, kernel, hidden, cell, offsets, cell_size
        )

        def gradient(d_states, d_last_cell):
            @_first_derivative_only
            def backward(d_states, d_last_cell, inputs, kernel, hidden, cell):
                saved = kept
                if recompute:
                    saved = _forward(inputs, kernel, hidden, cell, offsets, cell_size)[
                        2
                    ]
                gradients = (d_states, d_last_cell)
                return _backward(
                    gradients, states, kernel, hidden, saved, offsets, cell_size
                )

            return backward(d_states, d_last_cell, inputs, kernel, hidden, cell)

        return (states, last_cell), gradient

    return scan(inputs, kernel, hidden, cell)


def _forward(inputs, kernel, hidden, cell, offsets, cell_size):
    """Return all hidden states, the last cell state, and what the gradient needs."""
    steps = ops.shape(inputs)[0]
    units = hidden.shape[-1]

    def step(t, hidden, cell, states, gates, cells):
        summed = inputs[t] + tf.matmul(
            shifted_lines(hidden, offsets, cell_size), kernel
        )
        sigmoids = tf.sigmoid(summed[..., : 3 * units])
        o, f, i = tf.split(sigmoids, 3, axis=-1)
        g = tf.tanh(summed[..., 3 * units :])
        cells = cells.write(t, cell)
        cell = f * cell + i * g
        squashed = tf.tanh(cell)
        hidden = o * squashed
        gates = gates.write(t, tf.concat([sigmoids, g, squashed], axis=-1))
        return t + 1, hidden, cell, states.write(t, hidden), gates, cells

    shape = hidden.shape
    arrays = [
        _array(inputs, steps, (*shape[:-1], factor * units)) for factor in (1, 5, 1)
    ]
    _, _, cell, states, gates, cells = tf.while_loop(
        lambda t, *_: t < steps,
        step,
        (tf.constant(0), hidden, cell, *arrays),
        maximum_iterations=steps,
    )
    return states.stack(), cell, (gates, cells)


def _backward(gradients, states, kernel, hidden, saved, offsets, cell_size):
    """Return the gradients of inputs, kernel, hidden and cell."""
    d_states, d_cell = gradients
    gates, cells = saved
    steps = ops.shape(states)[0]
    taps = len(offsets)

    def step(t, d_hidden, d_cell, d_inputs):
        o, f, i, g, squashed = tf.split(gates.read(t), 5, axis=-1)
        d_hidden += d_states[t]
        d_cell += d_hidden * o * (1 - squashed * squashed)
        d_summed = tf.concat(
            [
                d_hidden * squashed * o * (1 - o),
                d_cell * cells.read(t) * f * (1 - f),
                d_cell * g * i * (1 - i),
                d_cell * i * (1 - g * g),
            ],
            axis=-1,
        )
        d_neighbors = tf.matmul(d_summed, kernel, transpose_b=True)
        d_hidden = tf.add_n(
            [
                shift_line(part, -offset, cell_size)
                for part, offset in zip(
                    tf.split(d_neighbors, taps, axis=-1), offsets, strict=True
                )
            ]
        )
        return t - 1, d_hidden, d_cell * f, d_inputs.write(t, d_summed)

    _, d_hidden, d_cell, d_inputs = tf.while_loop(
        lambda t, *_: t >= 0,
        step,
        (
            tf.convert_to_tensor(steps - 1),
            tf.zeros_like(hidden),
            d_cell,
            _array(states, steps, (*hidden.shape[:-1], kernel.shape[-1])),
        ),
        maximum_iterations=steps,
    )
    d_inputs = d_inputs.stack()
    earlier = tf.concat([hidden[None], states[:-1]], axis=0)
    d_kernel = tf.reduce_sum(
        tf.matmul(
            shifted_lines(earlier, offsets, cell_size), d_inputs, transpose_a=True
        ),
        axis=0,
    )
    return d_inputs, d_kernel, d_hidden, d_cell


def _array(like, steps, element_shape):
    return tf.TensorArray(
        like.dtype, size=steps, element_shape=element_shape, clear_after_read=False
    )


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
