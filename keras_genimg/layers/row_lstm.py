"""Row LSTM."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_genimg.layers.causal_layer import step_of_window
from keras_genimg.layers.pixel_lstm import PixelLSTM
from keras_genimg.ops.conv_lstm import conv_lstm_scan, shifted_lines
from keras_genimg.ops.convolution import pointwise_product
from keras_genimg.ops.graphs import traced_once
from keras_genimg.ops.lstm_cell import lstm_step, prepare_lstm


@keras.saving.register_keras_serializable(package="keras_genimg")
class RowLSTM(PixelLSTM):
    """LSTM that processes an image row by row, from top to bottom.

    With a masked kernel `Kis`, an unmasked kernel `Kss` and `*` for a convolution along
    the row:

        [o, f, i, g] = Kss * hidden[row - 1] + Kis * inputs[row] + bias
        cell[row] = sigmoid(f) * cell[row - 1] + sigmoid(i) * tanh(g)
        hidden[row] = sigmoid(o) * tanh(cell[row])

    The states before the first row are learned. A pixel sees only a triangle above it,
    which is wider for a larger kernel. For the whole past, use `DiagonalBiLSTM`.

    Args:
        units: Number of output channels, at least `num_colors`.
        kernel_size: Odd width of both kernels in pixels, at least 3.
        num_colors: Number of colors that the channels are split into, 1 for gray
            images and 3 for RGB.
        mask_type: Mask of the input-to-state kernel: `"B"`, or `"A"` for a layer that
            reads the image itself.
        use_bias: Whether the input-to-state map has a bias.
        unit_forget_bias: Whether 1 is added to the forget gates' initial bias.
        kernel_initializer: Initializer of the input-to-state kernel.
        recurrent_initializer: Initializer of the state-to-state kernel.
        bias_initializer: Initializer of the bias.
        state_initializer: Initializer of the learned initial states.
        kernel_regularizer: Regularizer of the input-to-state kernel.
        recurrent_regularizer: Regularizer of the state-to-state kernel.
        bias_regularizer: Regularizer of the bias.
        recompute: Whether to store only the layer's input for the gradient and
            recompute the rest, which trades time for memory.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Map of shape `(batch, height, width, channels)`.
        condition: Optional map of shape `(batch, height or 1, width or 1, depth)`, an
            unmasked input of every gate.

    Output shape:
        `(batch, height, width, units)`.

    Raises:
        ValueError: If an argument or the input's shape is not as described.

    Example:
        >>> RowLSTM(16)(np.zeros((2, 28, 28, 32))).shape
        TensorShape([2, 28, 28, 16])

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 3.1 and equation 3, https://arxiv.org/abs/1601.06759
    """

    def _scan_map(self, inputs, condition=None):
        weights = (
            self.bias,
            self.condition_kernel,
            self.recurrent_kernel,
            self.initial_hidden,
            self.initial_cell,
        )
        weights = (None if w is None else tf.cast(w, inputs.dtype) for w in weights)
        return _scan_rows(inputs, condition, self.masked_input_kernel(), *weights)

    @property
    def reach(self):
        """Columns to either side that the layer sees of the row above."""
        return self.taps // 2

    def prepare(self, fused):
        kernel, bias = self._input_weights()
        # The kernel's rows match the input of a step: the live input taps, the
        # condition, and the hidden states of the row above. The one directly above
        # comes last, instead of an LSTM's hidden state.
        taps = tf.unstack(tf.cast(self.recurrent_kernel[0], kernel.dtype))
        above = taps.pop(self.taps // 2)
        kernel = tf.concat([kernel[:, 0], *taps, above], axis=0)
        return prepare_lstm(kernel, bias[0, 0], fused)

    def initial_cache(self, weights, batch, width, channels):
        dtype = self.compute_dtype
        shape = (width, batch, self.units)
        return (
            tf.broadcast_to(tf.cast(self.initial_hidden, dtype), shape),
            tf.broadcast_to(tf.cast(self.initial_cell, dtype), shape),
            tf.zeros((batch, self.kernel_size // 2 * channels), dtype),
        )

    def begin_row(self, weights, cache):
        hidden, cell, border = cache
        beside = [offset for offset in range(-self.reach, self.reach + 1) if offset]
        return (border,), (shifted_lines(hidden, beside, axis=0), hidden, cell)

    def begin_pixel(self, weights, cache):
        hidden, cell, border = cache
        reach = self.reach
        beside = hidden[:reach] + hidden[reach + 1 :]
        return (border,), (*beside, hidden[reach], cell[reach])

    def step(self, weights, carry, row, inputs, condition=None):
        (window,) = carry
        *beside, above, cell = row
        conditions = [] if condition is None else [condition]
        seen = tf.concat([window, inputs, *conditions, *beside], axis=-1)
        hidden, cell = lstm_step(weights, seen, above, cell)
        channels = inputs.shape[-1]
        if window.shape[-1] > channels:
            window = tf.concat([window[:, channels:], inputs], axis=-1)
        else:
            window = inputs
        return hidden, (window,), (hidden, cell)

    def step_row(self, weights, carry, row, inputs, condition=None):
        others = {} if condition is None else {"condition": condition}
        return step_of_window(self, weights, carry, row, inputs, **others)

    def end_row(self, weights, cache, kept):
        return (*kept, cache[2])


@functools.partial(traced_once, batched=2)
def _scan_rows(
    inputs,
    condition,
    kernel,
    bias,
    condition_kernel,
    recurrent_kernel,
    initial_hidden,
    initial_cell,
):
    """Return the output of a layer, given its weights.

    Args:
        inputs: `(batch, height, width, channels)`.
        condition: `(batch, 1 or height, 1 or width, depth)`, or None.
        kernel: Live taps, `(1, taps, channels, 4 * units)`.
        bias: `(4 * units,)`, or None.
        condition_kernel: `(depth, 4 * units)`, or None.
        recurrent_kernel: `(1, taps, units, 4 * units)`.
        initial_hidden: `(1, units)`.
        initial_cell: `(1, units)`.
    """
    batch, height, width, channels = ops.shape(inputs)
    _, live_taps, _, gates = kernel.shape
    rows = tf.reshape(
        tf.transpose(inputs, (1, 2, 0, 3)), (height, width * batch, channels)
    )
    rows = shifted_lines(rows, range(1 - live_taps, 1), batch)
    kernel = tf.reshape(kernel, (live_taps * channels, gates))
    summed = tf.matmul(tf.reshape(rows, (-1, live_taps * channels)), kernel)
    if bias is not None:
        summed = tf.nn.bias_add(summed, bias)
    summed = tf.reshape(summed, (height, 1, width * batch, gates))
    if condition is not None:
        term = pointwise_product(condition, condition_kernel)
        term = tf.broadcast_to(term, (batch, height, width, gates))
        term = tf.transpose(term, (1, 2, 0, 3))
        summed = summed + tf.reshape(term, ops.shape(summed))
    units = gates // 4
    hidden, cell = (
        tf.broadcast_to(state[:, None, :], (1, width * batch, units))
        for state in (initial_hidden, initial_cell)
    )
    # In parts, to keep the gradient's tensors over all steps small.
    parts = [summed]
    if isinstance(height, int) and height > 1:
        sizes = map(len, np.array_split(range(height), min(height, 4)))
        parts = tf.split(summed, list(sizes), axis=0)
    first_offset = -(recurrent_kernel.shape[1] // 2)
    outputs = []
    for part in parts:
        states, hidden, cell = conv_lstm_scan(
            part, recurrent_kernel, hidden, cell, batch, first_offset
        )
        outputs.append(states)
    states = tf.reshape(tf.concat(outputs, axis=0), (height, width, batch, units))
    return tf.transpose(states, (2, 0, 1, 3))
