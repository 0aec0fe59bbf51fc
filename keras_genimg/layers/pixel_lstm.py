"""Base class of the LSTM layers over pixels."""

from typing import Any, Literal

import keras
import tensorflow as tf

from keras_genimg.layers.causal_layer import CausalLayer
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
from keras_genimg.ops.configurable import arguments_of, copy_of
from keras_genimg.types import Config, Identifier


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

    def masked_input_kernel(self) -> tf.Tensor:
        """Return the live taps of the input-to-state kernel, masked.

        Shape `(1, kernel_size // 2 + 1, channels, directions * 4 * units)`: the taps
        to the right of the center are zero and left out.
        """
        live = self.kernel_size // 2 + 1
        kernel = tf.cast(self.input_kernel, self.compute_dtype)
        return kernel[:, :live] * tf.cast(self.mask[:, :live], kernel.dtype)

    def _input_weights(self):
        """Return the gates' kernel of live taps and condition, and their bias.

        Shapes `(features, directions, 4 * units)` and `(1, directions, 4 * units)`.
        """
        shape = self.directions, 4 * self.units
        kernels = [self.masked_input_kernel()]
        if self.condition_kernel is not None:
            kernels.append(tf.cast(self.condition_kernel, self.compute_dtype))
        kernels = [tf.reshape(kernel, (-1, *shape)) for kernel in kernels]
        bias = tf.zeros(shape) if self.bias is None else self.bias
        bias = tf.reshape(tf.cast(bias, self.compute_dtype), (1, *shape))
        return tf.concat(kernels, axis=0), bias

    def call(self, inputs, condition=None):
        check_built_with_condition(self.condition_kernel, condition, self.name)
        # Recomputed outside of this call, where Keras casts no weights by itself.
        run = keras.remat(self._scan_map) if self.recompute else self._scan_map
        return run(inputs) if condition is None else run(inputs, condition)

    def compute_output_shape(self, inputs_shape, condition_shape=None):
        return (*inputs_shape[:-1], self.units)

    def get_config(self) -> Config:
        return {**super().get_config(), **arguments_of(self, PixelLSTM)}
