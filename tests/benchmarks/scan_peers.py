"""The LSTM layers over pixels in idiomatic TensorFlow and Keras.

Each peer is a function of `inputs` (batch, height, width, channels) and a dict of
weights:

- `input_kernel` (1, taps, channels, directions * 4 * units), of which the taps right of
  the center are masked;
- `bias` (directions * 4 * units,);
- `recurrent_kernel` (directions, taps, units, 4 * units);
- `initial_hidden`, `initial_cell` (directions, units).

It returns the layer's map, (batch, height, width, units).
"""

import keras
import tensorflow as tf


def input_to_state(inputs, weights):
    """Return (batch, height, width, directions * 4 * units), in one convolution."""
    taps = weights["input_kernel"].shape[1] // 2 + 1
    kernel = weights["input_kernel"][:, :taps]
    padding = [[0, 0], [0, 0], [taps - 1, 0], [0, 0]]
    return tf.nn.conv2d(inputs, kernel, 1, padding) + weights["bias"]


def skew_index(height, width):
    """Return the pixel index at each step and row, or `height * width` if none."""
    row = tf.range(height)[None, :]
    column = tf.range(height + width - 1)[:, None] - row
    inside = (column >= 0) & (column < width)
    return tf.where(inside, row * width + column, height * width)


def skewed_gates(inputs, weights):
    """Return gates of both directions, (steps, directions, line, batch, gates)."""
    batch, height, width, _ = inputs.shape
    gates = input_to_state(inputs, weights)
    gates = tf.reshape(gates, (batch, height, width, 2, -1))
    gates = tf.transpose(gates, (1, 2, 3, 0, 4))
    # The second direction reads the mirrored image.
    gates = tf.stack([gates[:, :, 0], tf.reverse(gates[:, :, 1], [1])], axis=2)
    flat = tf.reshape(gates, (height * width, *gates.shape[2:]))
    flat = tf.pad(flat, [[0, 1], [0, 0], [0, 0], [0, 0]])
    skewed = tf.gather(flat, skew_index(height, width))
    return tf.transpose(skewed, (0, 2, 1, 3, 4))


def merged_directions(hidden, width):
    """Return the map of (steps, directions, line, batch, units)."""
    steps, _, height, batch, units = hidden.shape
    hidden = tf.transpose(hidden, (0, 2, 1, 3, 4))
    flat = tf.reshape(hidden, (steps * height, 2, batch, units))
    row, column = tf.range(height)[:, None], tf.range(width)[None, :]
    hidden = tf.gather(flat, (row + column) * height + row)
    left, right = hidden[:, :, 0], tf.reverse(hidden[:, :, 1], [1])
    right = tf.pad(right, [[1, 0], [0, 0], [0, 0], [0, 0]])[:-1]
    return tf.transpose(left + right, (2, 0, 1, 3))


def lstm(gates, cell):
    """Return the new hidden and cell state."""
    o, f, i, g = tf.split(gates, 4, axis=-1)
    cell = tf.sigmoid(f) * cell + tf.sigmoid(i) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(cell), cell


def initial_states(weights, shape):
    """Return hidden and cell states, (directions, line, batch, units)."""
    names = ("initial_hidden", "initial_cell")
    return [tf.broadcast_to(weights[name][:, None, None], shape) for name in names]


def state_to_state(hidden, kernel, first_offset):
    """Return (directions, line, batch, gates), from neighbors in the line."""
    directions, line, batch, units = hidden.shape
    taps = kernel.shape[1]
    ends = [-first_offset, first_offset + taps - 1]
    padded = tf.pad(hidden, [[0, 0], ends, [0, 0], [0, 0]])
    neighbors = tf.concat([padded[:, tap : tap + line] for tap in range(taps)], axis=-1)
    neighbors = tf.reshape(neighbors, (directions, line * batch, taps * units))
    kernel = tf.reshape(kernel, (directions, taps * units, 4 * units))
    return tf.reshape(tf.matmul(neighbors, kernel), (directions, line, batch, -1))


def started(step, new, old):
    """Return the new states of the rows that have started, one step after another."""
    rows = tf.range(new[0].shape[1], dtype=step.dtype)[None, :, None, None]
    return [tf.where(rows <= step, *pair) for pair in zip(new, old, strict=True)]


def plain_scan(inputs, weights, first_offset, staggered):
    """Scan (steps, directions, line, batch, gates) in a loop with automatic gradients.

    The library's scan was written like this before it got a hand-written gradient.
    """
    kernel = tf.convert_to_tensor(weights["recurrent_kernel"])
    steps, directions, line, batch, _ = inputs.shape
    shape = (directions, line, batch, kernel.shape[2])

    def step(t, hidden, cell, outputs):
        new = lstm(inputs[t] + state_to_state(hidden, kernel, first_offset), cell)
        if staggered:
            new = started(t, new, (hidden, cell))
        return t + 1, *new, outputs.write(t, new[0])

    outputs = tf.TensorArray(
        inputs.dtype, size=steps, element_shape=shape, clear_after_read=False
    )
    *_, outputs = tf.while_loop(
        lambda t, *_: t < steps,
        step,
        (tf.constant(0), *initial_states(weights, shape), outputs),
        maximum_iterations=steps,
    )
    return outputs.stack()


def plain_diagonal(inputs, weights):
    hidden = plain_scan(skewed_gates(inputs, weights), weights, -1, staggered=True)
    return merged_directions(hidden, inputs.shape[2])


def plain_row(inputs, weights):
    gates = tf.transpose(input_to_state(inputs, weights), (1, 2, 0, 3))[:, None]
    taps = weights["recurrent_kernel"].shape[1]
    hidden = plain_scan(gates, weights, -(taps // 2), staggered=False)
    return tf.transpose(hidden[:, 0], (2, 0, 1, 3))


class DiagonalCell(keras.layers.Layer):
    """Cell over the columns of a skewed map; its state is a line of LSTM cells.

    The batch axis of `keras.layers.RNN` holds the directions, so that one product
    computes both.
    """

    def __init__(self, kernel, **kwargs):
        super().__init__(**kwargs)
        self.kernel = kernel
        self.state_size = (kernel.shape[2], kernel.shape[2], 1)

    def call(self, inputs, states):
        hidden, cell, step = states
        new = lstm(inputs + state_to_state(hidden, self.kernel, -1), cell)
        new = started(step[0, 0], new, (hidden, cell))
        return new[0], [*new, step + 1]


def rnn_diagonal(inputs, weights):
    gates = tf.transpose(skewed_gates(inputs, weights), (1, 0, 2, 3, 4))
    cell = DiagonalCell(tf.convert_to_tensor(weights["recurrent_kernel"]))
    directions, _, line, batch, gate_units = gates.shape
    states = initial_states(weights, (directions, line, batch, gate_units // 4))
    states.append(tf.zeros((directions, 1)))
    hidden = keras.layers.RNN(cell, return_sequences=True)(gates, states)
    return merged_directions(tf.transpose(hidden, (1, 0, 2, 3, 4)), inputs.shape[2])


class RowCell(keras.layers.Layer):
    """Cell over the rows of a map; its state is a row of LSTM cells."""

    def __init__(self, kernel, **kwargs):
        super().__init__(**kwargs)
        self.kernel = kernel
        self.state_size = (kernel.shape[1], kernel.shape[1])

    def call(self, inputs, states):
        hidden, cell = states
        gates = inputs + tf.nn.conv1d(hidden, self.kernel, 1, "SAME")
        hidden, cell = lstm(gates, cell)
        return hidden, [hidden, cell]


def rnn_row(inputs, weights):
    cell = RowCell(tf.convert_to_tensor(weights["recurrent_kernel"])[0])
    batch, _, width, _ = inputs.shape
    states = initial_states(weights, (1, batch, width, cell.state_size[0]))
    states = [state[0] for state in states]
    rnn = keras.layers.RNN(cell, return_sequences=True)
    return rnn(input_to_state(inputs, weights), states)


RNN, LOOP = "keras.layers.RNN loop", "tf.while_loop, automatic gradients"
LAYERS = {
    "diagonal": {RNN: rnn_diagonal, LOOP: plain_diagonal},
    "row": {RNN: rnn_row, LOOP: plain_row},
}
