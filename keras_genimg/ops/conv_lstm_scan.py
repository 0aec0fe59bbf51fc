"""The scan that RowLSTM and DiagonalBiLSTM share."""

import tensorflow as tf
from keras import ops


def conv_lstm_scan(
    inputs, kernel, initial_hidden, initial_cell, first_offset, staggered
):
    """Run an LSTM whose state is a line of cells with a convolution along the line.

    At step `t`, with `n` the cells at the given offsets from a cell, hidden states of
    step `t - 1`, zero beyond the ends of the line:

        [o, f, i, g] = inputs[t] + concat(hidden[n]) @ kernel
        cell = sigmoid(f) * cell + sigmoid(i) * tanh(g)
        hidden = sigmoid(o) * tanh(cell)

    A staggered line is that of a skewed map: cell `r` starts at step `r`, and has its
    initial state before.

    Args:
        inputs: Input-to-state map with bias, time first, of shape
            `(steps, directions, line, batch, 4 * units)`.
        kernel: State-to-state kernel of shape `(directions, taps, units, 4 * units)`.
        initial_hidden: Hidden state before a cell's first step, `(directions, units)`.
        initial_cell: Cell state before a cell's first step, `(directions, units)`.
        first_offset: Offset of the first tap; tap `k` reads cell
            `position + first_offset + k`.
        staggered: Whether cell `r` starts at step `r`.

    Returns:
        Hidden states of shape `(steps, directions, line, batch, units)`.

    References:
        van den Oord et al., Pixel Recurrent Neural Networks, 2016, equation 3.
    """
    steps, directions, line, batch, _ = ops.shape(inputs)
    taps, units = kernel.shape[1:3]
    kernel = tf.reshape(kernel, (directions, taps * units, 4 * units))
    before, after = -first_offset, first_offset + taps - 1
    shape = (directions, line, batch, units)
    hidden = tf.broadcast_to(initial_hidden[:, None, None, :], shape)
    cell = tf.broadcast_to(initial_cell[:, None, None, :], shape)

    def step(t, hidden, cell, outputs):
        padded = tf.pad(hidden, [[0, 0], [before, after], [0, 0], [0, 0]])
        neighbors = tf.concat(
            [padded[:, tap : tap + line] for tap in range(taps)], axis=-1
        )
        state_to_state = tf.matmul(
            tf.reshape(neighbors, (directions, line * batch, taps * units)), kernel
        )
        gates = inputs[t] + tf.reshape(
            state_to_state, (directions, line, batch, 4 * units)
        )
        o, f, i, g = tf.split(gates, 4, axis=-1)
        new_cell = tf.sigmoid(f) * cell + tf.sigmoid(i) * tf.tanh(g)
        new_hidden = tf.sigmoid(o) * tf.tanh(new_cell)
        if staggered:
            started = (tf.range(line) <= t)[None, :, None, None]
            new_cell = tf.where(started, new_cell, cell)
            new_hidden = tf.where(started, new_hidden, hidden)
        return t + 1, new_hidden, new_cell, outputs.write(t, new_hidden)

    outputs = tf.TensorArray(
        inputs.dtype, size=steps, element_shape=hidden.shape, clear_after_read=False
    )
    *_, outputs = tf.while_loop(
        lambda t, *_: t < steps,
        step,
        (tf.constant(0), hidden, cell, outputs),
        maximum_iterations=steps,
    )
    return outputs.stack()
