"""LSTM layers over pixels."""

import functools
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_genimg.layers.causal_layer import CausalLayer, step_of_window
from keras_genimg.ops.checks import (
    check_built_with_condition,
    check_choice,
    check_color_channels,
    check_condition,
    check_feature_map,
    check_odd,
    check_positive_int,
)
from keras_genimg.ops.color_masks import causal_kernel_mask
from keras_genimg.ops.configurable import arguments_of, copy_of, own_arguments
from keras_genimg.ops.conv_lstm import conv_lstm_scan, shifted_lines
from keras_genimg.ops.convolution import pointwise_product
from keras_genimg.ops.devices import is_on_gpu
from keras_genimg.ops.graphs import traced_once
from keras_genimg.ops.lstm_cell import lstm_sequences, lstm_step, prepare_lstm
from keras_genimg.ops.skewed_map import SkewedMap
from keras_genimg.types import Config, Identifier

# The sigmoid of this logit is exactly 1, and that of its negative 0, in half precision
# too.
_CLOSED = 1000.0
# Default numbers of segments. On two CPU cores, 4 segments take three quarters of the
# time of one, and 8 hardly less, but twice as long to trace.
_CPU_SEGMENTS = 4
_GPU_SEGMENTS = 1


class PixelLSTM(CausalLayer, keras.layers.Layer):
    """Base class of the LSTM layers over pixels: weights and input-to-state map.

    A subclass implements `_scan_map`, which computes the layer's output.

    Attributes:
        directions: Number of maps that are scanned.
        taps: Width of the state-to-state kernel.
    """

    directions = 1
    _smallest_kernel = 3

    def __init__(
        self,
        units: int,
        kernel_size: int = 3,
        num_colors: int = 1,
        mask_type: Literal["A", "B"] = "B",
        use_bias: bool = True,
        unit_forget_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        state_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        recurrent_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        recompute: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.units = check_positive_int("units", units, owner)
        self.kernel_size = check_odd(
            "kernel_size", kernel_size, owner, self._smallest_kernel
        )
        self.taps = self.kernel_size
        self.num_colors = check_positive_int("num_colors", num_colors, owner)
        self.mask_type = check_choice("mask_type", mask_type, ("A", "B"), owner)
        check_color_channels("units", self.units, self.num_colors, owner)
        self.use_bias = use_bias
        self.unit_forget_bias = unit_forget_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.state_initializer = keras.initializers.get(state_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = keras.regularizers.get(recurrent_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.recompute = recompute

    def build(self, inputs_shape, condition_shape=None):
        check_feature_map(inputs_shape, self.num_colors, self.name)
        self.input_spec = keras.InputSpec(axes={-1: inputs_shape[-1]})
        gates = 4 * self.directions
        self.mask = causal_kernel_mask(
            (1, self.kernel_size),
            inputs_shape[-1],
            self.units,
            self.mask_type,
            self.num_colors,
            gates,
        )
        self.input_kernel = self.add_weight(
            name="input_kernel",
            shape=self.mask.shape,
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.directions, self.taps, self.units, 4 * self.units),
            initializer=self._initial_recurrent_kernel,
            regularizer=self.recurrent_regularizer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(gates * self.units,),
                initializer=self._initial_bias,
                regularizer=self.bias_regularizer,
            )
        self.condition_kernel = None
        if condition_shape is not None:
            check_condition(inputs_shape, condition_shape, self.name)
            self.condition_kernel = self.add_weight(
                name="condition_kernel",
                shape=(condition_shape[-1], gates * self.units),
                initializer=copy_of(self.kernel_initializer),
                regularizer=self.kernel_regularizer,
            )
        shape = self.directions, self.units
        initial, other = self.state_initializer, copy_of(self.state_initializer)
        self.initial_hidden = self.add_weight(shape, initial, name="initial_hidden")
        self.initial_cell = self.add_weight(shape, other, name="initial_cell")

    def _initial_recurrent_kernel(self, shape, dtype=None):
        # The orthogonal initializer needs a QR decomposition, which TensorFlow does
        # not have for bfloat16.
        drawn = "float32" if dtype == "bfloat16" else dtype
        return keras.ops.cast(self.recurrent_initializer(shape, drawn), dtype)

    def _initial_bias(self, shape, dtype=None):
        bias = self.bias_initializer(shape, dtype)
        if self.unit_forget_bias:
            forget = keras.ops.array([0.0, 1.0, 0.0, 0.0] * self.directions, dtype)
            bias = bias + keras.ops.repeat(forget, self.units)
        return bias

    def _input_weights(self):
        """Return the gates' kernel of live taps and condition, and their bias.

        Shapes `(features, directions, 4 * units)` and `(1, directions, 4 * units)`. The
        taps to the right of the center are masked and left out.
        """
        live = self.kernel_size // 2 + 1
        kernel = tf.cast(self.input_kernel, self.compute_dtype)
        kernels = [kernel[0, :live] * tf.cast(self.mask[0, :live], kernel.dtype)]
        if self.condition_kernel is not None:
            kernels.append(tf.cast(self.condition_kernel, self.compute_dtype))
        shape = self.directions, 4 * self.units
        kernels = [tf.reshape(kernel, (-1, *shape)) for kernel in kernels]
        bias = tf.zeros(shape) if self.bias is None else self.bias
        bias = tf.reshape(tf.cast(bias, self.compute_dtype), (1, *shape))
        return tf.concat(kernels, axis=0), bias

    def call(self, inputs, condition=None):
        check_built_with_condition(self.condition_kernel, condition, self.name)
        # The gradient recomputes `_scan_map` outside of this call, where Keras casts no
        # weights, so `_scan_map` casts them itself.
        run = keras.remat(self._scan_map) if self.recompute else self._scan_map
        return run(inputs) if condition is None else run(inputs, condition)

    def compute_output_shape(self, inputs_shape, condition_shape=None):
        return (*inputs_shape[:-1], self.units)

    def get_config(self) -> Config:
        return {**super().get_config(), **arguments_of(self, PixelLSTM)}


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
        kernel, bias = self._input_weights()
        states = self.recurrent_kernel, self.initial_hidden, self.initial_cell
        states = (tf.cast(tensor, inputs.dtype) for tensor in states)
        return _scan_rows(inputs, condition, kernel[:, 0], bias[0, 0], *states)

    @property
    def reach(self):
        """Columns to either side that the layer sees of the row above."""
        return self.taps // 2

    def prepare(self, fused):
        kernel, bias = self._input_weights()
        # The rows of the kernel are in the order of a step's input: the input taps that
        # the mask leaves, the condition, and the hidden states of the row above. The
        # state directly above comes last, at the place of an LSTM's own hidden state.
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


@keras.saving.register_keras_serializable(package="keras_genimg")
class DiagonalBiLSTM(PixelLSTM):
    """LSTM that processes an image along its diagonals, from both upper corners.

    For the direction from the upper left corner, with `hidden` and `cell` zero above
    the image and learned initial states left of it:

        [o, f, i, g] = K1 hidden[r - 1, j] + K2 hidden[r, j - 1] + Kis inputs[r, j] + b
        cell[r, j] = sigmoid(f) * cell[r, j - 1] + sigmoid(i) * tanh(g)
        hidden[r, j] = sigmoid(o) * tanh(cell[r, j])

    The other direction does the same on the mirrored image, with separate weights;
    its map is mirrored back, shifted down by one row so that it cannot see the future,
    and added. Together they see every pixel of the past.

    Args:
        units: Number of output channels, at least `num_colors`.
        num_colors: Number of colors that the channels are split into, 1 for gray
            images and 3 for RGB.
        mask_type: Mask of the 1×1 input-to-state kernel. `"A"` hides each sub-pixel
            from all positions, not only its own, so it suits no gray image and never
            sees the last color; let a `MaskedConv2D` with mask `"A"` read the image.
        use_bias: Whether the input-to-state map has a bias.
        unit_forget_bias: Whether 1 is added to the forget gates' initial bias.
        kernel_initializer: Initializer of the input-to-state kernel.
        recurrent_initializer: Initializer of the state-to-state kernel.
        bias_initializer: Initializer of the bias.
        state_initializer: Initializer of the learned initial states.
        kernel_regularizer: Regularizer of the input-to-state kernel.
        recurrent_regularizer: Regularizer of the state-to-state kernel.
        bias_regularizer: Regularizer of the bias.
        recompute: Whether the layer is computed again for the gradient, so that
            nothing but its input is kept until then: less memory for more time.
        num_segments: Number of segments to cut the diagonals into, each computed on
            only those rows that its diagonals cross. More segments save arithmetic on
            padding, at most about half of it. By default 4 on a CPU and 1 on a GPU,
            whichever the layer runs on when it is called or traced. On a GPU, a step
            takes the time to launch its kernels, however few rows it has, and each
            segment launches more kernels; only large layers and batches, which keep
            the GPU busy at every step, may be faster with more. An export keeps the
            number that it was traced with. The output does not depend on it, but for
            rounding.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Map of shape `(batch, height, width, channels)`.
        condition: Optional map of shape `(batch, height or 1, width or 1, depth)`,
            seen by every gate without a mask.

    Output shape:
        `(batch, height, width, units)`.

    Raises:
        ValueError: If an argument or the input's shape is not as described.

    Example:
        >>> DiagonalBiLSTM(16)(np.zeros((2, 28, 28, 32))).shape
        TensorShape([2, 28, 28, 16])

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 3.2, https://arxiv.org/abs/1601.06759
    """

    directions = 2
    _smallest_kernel = 1

    def __init__(
        self,
        units: int,
        num_colors: int = 1,
        mask_type: Literal["A", "B"] = "B",
        num_segments: int | None = None,
        use_bias: bool = True,
        unit_forget_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        state_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        recurrent_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        recompute: bool = False,
        **kwargs: Any,
    ):
        arguments = own_arguments(locals(), "num_segments")
        if mask_type == "A" and num_colors == 1:
            raise ValueError(
                "DiagonalBiLSTM reads its input through a 1×1 kernel, all of which "
                "mask 'A' hides when there is one color. Use mask_type='B' after a "
                "MaskedConv2D with mask 'A'. Received: mask_type='A', num_colors=1"
            )
        super().__init__(kernel_size=1, **arguments, **kwargs)
        self.taps = 2
        if num_segments is not None:
            num_segments = check_positive_int(
                "num_segments", num_segments, type(self).__name__
            )
        self.num_segments = num_segments

    def _scan_map(self, inputs, condition=None):
        num_segments = self.num_segments
        if num_segments is None:
            num_segments = _GPU_SEGMENTS if is_on_gpu() else _CPU_SEGMENTS
        weights = self._feature_weights(inputs.dtype)
        recurrent_kernel = tf.cast(self.recurrent_kernel, inputs.dtype)
        initial_cell = tf.cast(self.initial_cell, inputs.dtype)
        return _scan_diagonals(
            inputs, condition, weights, recurrent_kernel, initial_cell, num_segments
        )

    def _feature_weights(self, dtype):
        """Return the gates' weights of all features, `(2, features, 4 * units)`.

        The weight of `is_pixel` is the bias. That of the first pixel of a row, in
        either direction, is the state-to-state term of the learned hidden state. That
        of padding closes the gates o and i and opens f. Before a row starts, its hidden
        state is therefore 0 and its cell state the learned one. See `_features`.
        """
        kernel, bias = self._input_weights()
        initial_hidden = tf.cast(self.initial_hidden, dtype)[:, None, :]
        recurrent = tf.cast(self.recurrent_kernel, dtype)[:, 1]
        before_row = tf.squeeze(tf.matmul(initial_hidden, recurrent), 1)
        before_row = tf.eye(2, dtype=dtype)[:, :, None] * before_row
        closed = tf.constant([-_CLOSED, _CLOSED, -_CLOSED, 0.0], dtype)
        closed = tf.broadcast_to(tf.repeat(closed, self.units), bias.shape)
        weights = tf.concat([kernel, bias, before_row, closed], axis=0)
        return tf.transpose(weights, (1, 0, 2))

    def get_config(self) -> Config:
        config = super().get_config()
        del config["kernel_size"]
        return {**config, "num_segments": self.num_segments}

    def prepare(self, fused):
        kernel, bias = self._input_weights()
        recurrent = tf.cast(self.recurrent_kernel, kernel.dtype)
        prepared = []
        for direction in range(2):
            # The rows of the kernel are in the order of a step's input: the input, the
            # condition, the hidden state above, and last that of the left neighbor,
            # which is an LSTM's own hidden state.
            kernels = [kernel[:, direction], *tf.unstack(recurrent[direction])]
            prepared.append(
                prepare_lstm(tf.concat(kernels, axis=0), bias[0, direction], fused)
            )
        return prepared

    def initial_cache(self, weights, batch, width, channels):
        dtype, units = self.compute_dtype, self.units
        nothing = tf.zeros((width, batch, units), dtype)
        states = tf.stack(
            [tf.cast(self.initial_hidden, dtype), tf.cast(self.initial_cell, dtype)]
        )
        states = tf.broadcast_to(states[:, :, None], (2, 2, batch, units))
        # These are the rows above in either direction, and the states before a row.
        return nothing, nothing, states

    def begin_row(self, weights, cache):
        above, right_above, states = cache
        return (states[0, 0], states[1, 0]), (above, right_above)

    def step(self, weights, carry, row, inputs, condition=None):
        hidden, cell = carry
        above, right_above = row
        seen = _with_condition(inputs, condition)
        hidden, cell = lstm_step(
            weights[0], tf.concat([seen, above], axis=-1), hidden, cell
        )
        return hidden + right_above, (hidden, cell), (hidden, seen)

    def step_row(self, weights, carry, row, inputs, condition=None):
        above, right_above = row
        seen = _with_condition(inputs, condition)
        features = tf.concat([seen, above], axis=-1)
        hidden, cell = carry
        (hidden,) = lstm_sequences([weights[0]], [features], [hidden], [cell])
        return hidden + right_above, (hidden, seen)

    @classmethod
    def end_rows(cls, layers, weights, caches, kept):
        # The right-to-left direction sees only finished rows, so it runs over this row
        # once it is finished, beginning at its end.
        features = [
            tf.reverse(tf.concat([seen, right_above], axis=-1), [0])
            for (_, seen), (_, right_above, _) in zip(kept, caches, strict=True)
        ]
        rights = lstm_sequences(
            [backward for _, backward in weights],
            features,
            [states[0, 1] for *_, states in caches],
            [states[1, 1] for *_, states in caches],
        )
        return [
            (hidden, tf.reverse(right, [0]), states)
            for (hidden, _), right, (*_, states) in zip(
                kept, rights, caches, strict=True
            )
        ]


@functools.partial(traced_once, batched=2)
def _scan_rows(
    inputs, condition, kernel, bias, recurrent_kernel, initial_hidden, initial_cell
):
    """Return the output of a `RowLSTM`.

    Args:
        inputs: `(batch, height, width, channels)`.
        condition: `(batch, 1 or height, 1 or width, depth)`, or None.
        kernel: `(taps * channels + depth, 4 * units)`, for live taps and condition.
        bias: `(4 * units,)`.
        recurrent_kernel: `(1, taps, units, 4 * units)`.
        initial_hidden: `(1, units)`.
        initial_cell: `(1, units)`.
    """
    batch, height, width, channels = ops.shape(inputs)
    reach, gates = recurrent_kernel.shape[1] // 2, kernel.shape[1]
    # Columns and examples share an axis, so that a row is one matrix. The mask leaves
    # the taps from the left end of the kernel to the pixel itself. Their product is
    # computed for all rows at once, before the loop.
    rows = tf.reshape(
        tf.transpose(inputs, (1, 2, 0, 3)), (height, width * batch, channels)
    )
    rows = shifted_lines(rows, range(-reach, 1), batch)
    size = rows.shape[-1]
    summed = tf.matmul(tf.reshape(rows, (-1, size)), kernel[:size])
    summed = tf.nn.bias_add(summed, bias)
    summed = tf.reshape(summed, (height, 1, width * batch, gates))
    if condition is not None:
        term = pointwise_product(condition, kernel[size:])
        term = tf.broadcast_to(term, (batch, height, width, gates))
        term = tf.transpose(term, (1, 2, 0, 3))
        summed = summed + tf.reshape(term, ops.shape(summed))
    units = gates // 4
    hidden, cell = (
        tf.broadcast_to(state[:, None, :], (1, width * batch, units))
        for state in (initial_hidden, initial_cell)
    )
    # The loop runs in parts, to keep the gradient's tensors over all steps small.
    parts = [summed]
    if isinstance(height, int) and height > 1:
        sizes = map(len, np.array_split(range(height), min(height, 4)))
        parts = tf.split(summed, list(sizes), axis=0)
    outputs = []
    for part in parts:
        states, hidden, cell = conv_lstm_scan(
            part, recurrent_kernel, hidden, cell, batch, -reach
        )
        outputs.append(states)
    states = tf.reshape(tf.concat(outputs, axis=0), (height, width, batch, units))
    return tf.transpose(states, (2, 0, 1, 3))


@functools.partial(traced_once, batched=2)
def _scan_diagonals(
    inputs, condition, weights, recurrent_kernel, initial_cell, num_segments
):
    """Return the output of a `DiagonalBiLSTM`.

    Args:
        inputs: `(batch, height, width, channels)`.
        condition: `(batch, 1 or height, 1 or width, depth)`, or None.
        weights: `(2, features, 4 * units)`, for the features.
        recurrent_kernel: `(2, 2, units, 4 * units)`.
        initial_cell: `(2, units)`.
        num_segments: See `DiagonalBiLSTM`.
    """
    batch, height, width, _ = ops.shape(inputs)
    units = initial_cell.shape[-1]
    skewed = SkewedMap(height, width, num_segments)
    features = _features(inputs, condition)
    hidden = tf.zeros((2, 0, units), inputs.dtype)
    cell = hidden
    first_row = end_row = 0
    outputs = []
    for segment, window in zip(skewed.skew(features), skewed.segments, strict=True):
        # Rows that no diagonal crosses any more leave the state, and new ones enter.
        gone = (window[2] - first_row) * batch
        entering = (window[3] - end_row) * batch
        first_row, end_row = window[2:]
        hidden, cell = hidden[:, gone:], cell[:, gone:]
        hidden = tf.pad(hidden, [[0, 0], [0, entering], [0, 0]])
        start = tf.broadcast_to(initial_cell[:, None, :], (2, entering, units))
        cell = tf.concat([cell, start], axis=1)
        steps, lines = ops.shape(segment)[0], ops.shape(cell)[1]
        gates = tf.matmul(
            tf.reshape(segment, (steps, 2, lines, weights.shape[1])), weights
        )
        states, hidden, cell = conv_lstm_scan(
            gates, recurrent_kernel, hidden, cell, batch, -1
        )
        outputs.append(
            tf.reshape(states, (steps, 2, end_row - first_row, batch, units))
        )
    outputs = tf.reshape(skewed.unskew(outputs), (height, width, batch, units))
    return tf.transpose(outputs, (2, 0, 1, 3))


def _features(inputs, condition):
    """Return the features of each pixel that the gates are linear in.

    They are the input, the condition, and four flags: one marks a pixel, two the first
    pixel of a row in either direction, and one padding.

    Returns:
        `(height * width + 1, batch, features)`, the last entry for padding.
    """
    batch, height, width, _ = ops.shape(inputs)
    if condition is not None:
        depth = condition.shape[-1]
        condition = tf.broadcast_to(condition, (batch, height, width, depth))
    features = _with_condition(inputs, condition)
    features = tf.reshape(
        tf.transpose(features, (1, 2, 0, 3)),
        (height * width, batch, features.shape[-1]),
    )
    features = tf.pad(features, [[0, 1], [0, 0], [0, 0]])
    index = tf.range(height * width + 1)
    is_pixel = index < height * width
    is_first = is_pixel & (index % width == 0)
    is_last = is_pixel & (index % width == width - 1)
    flags = tf.stack([is_pixel, is_first, is_last, ~is_pixel], axis=-1)
    flags = tf.cast(flags, inputs.dtype)[:, None, :]
    flags = tf.broadcast_to(flags, (height * width + 1, batch, 4))
    return tf.concat([features, flags], axis=-1)


def _with_condition(inputs, condition):
    return inputs if condition is None else tf.concat([inputs, condition], axis=-1)
