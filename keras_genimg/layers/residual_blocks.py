"""Residual blocks of the PixelRNN and of the PixelCNN."""

from typing import Any, Literal

import keras
from keras import ops

from keras_genimg.layers.masked_conv2d import MaskedConv2D
from keras_genimg.layers.pixel_lstm import DiagonalBiLSTM, RowLSTM
from keras_genimg.ops.checks import (
    check_built_with_condition,
    check_choice,
    check_condition,
    check_odd,
)
from keras_genimg.ops.configurable import arguments_of
from keras_genimg.types import Config


class ResidualBlock(keras.layers.Layer):
    """Base class of layers that add their output to an input of twice their width."""

    composite = True  # Tells the sampler to evaluate the inner layers.

    def _check_channels(self, shape, units):
        if len(shape) != 4 or shape[-1] != 2 * units:
            raise ValueError(
                f"{type(self).__name__} '{self.name}' adds its output to its input, so "
                f"its input must be a map of {2 * units} channels, twice its own width "
                f"of {units}. Received: shape={tuple(shape)}"
            )

    def compute_output_shape(self, inputs_shape, condition_shape=None):
        return tuple(inputs_shape)


@keras.saving.register_keras_serializable(package="keras_genimg")
class ResidualMaskedConvBlock(ResidualBlock):
    """Residual block of the PixelCNN: a bottleneck of three masked convolutions.

        outputs = inputs + expand(relu(convolution(relu(reduce(relu(inputs))))))

    `reduce` and `expand` are 1×1 convolutions, and `convolution` has the kernel size
    `kernel_size`. All have mask `"B"`.

    Args:
        filters: Channels inside the block. Input and output have twice as many.
        kernel_size: Odd size of the convolution in pixels, at least 3.
        num_colors: Number of colors that the channels are split into.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Map of shape `(batch, height, width, 2 * filters)`.
        condition: Optional map of shape `(batch, height or 1, width or 1, depth)`,
            projected without a mask and added to the convolution's output.

    Output shape:
        `(batch, height, width, 2 * filters)`.

    Raises:
        ValueError: If an argument or the input's shape is not as described.

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, figure 5 left, https://arxiv.org/abs/1601.06759
    """

    def __init__(
        self, filters: int, kernel_size: int = 3, num_colors: int = 1, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.filters = filters
        owner = type(self).__name__
        self.kernel_size = check_odd("kernel_size", kernel_size, owner, smallest=3)
        self.num_colors = num_colors
        masked = {"num_colors": num_colors, "dtype": self.dtype_policy}
        self.reduce = MaskedConv2D(filters, 1, "B", name="reduce", **masked)
        self.convolution = MaskedConv2D(
            filters, kernel_size, "B", name="convolution", **masked
        )
        self.expand = MaskedConv2D(2 * filters, 1, "B", name="expand", **masked)
        self.project = None

    def build(self, inputs_shape, condition_shape=None):
        self._check_channels(inputs_shape, self.filters)
        inner = (*inputs_shape[:-1], self.filters)
        self.reduce.build(inputs_shape)
        self.convolution.build(inner)
        self.expand.build(inner)
        if condition_shape is not None:
            check_condition(inputs_shape, condition_shape, self.name)
            self.project = keras.layers.Dense(
                self.filters, use_bias=False, name="project", dtype=self.dtype_policy
            )
            self.project.build(condition_shape)

    def call(self, inputs, condition=None):
        outputs = self.convolution(ops.relu(self.reduce(ops.relu(inputs))))
        check_built_with_condition(self.project, condition, self.name)
        if condition is not None:
            outputs = outputs + self.project(condition)
        return inputs + self.expand(ops.relu(outputs))

    def get_config(self) -> Config:
        own = arguments_of(self, ResidualMaskedConvBlock)
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_genimg")
class ResidualLSTMBlock(ResidualBlock):
    """Residual block of the PixelRNN: an LSTM layer and a 1×1 convolution.

        outputs = inputs + expand(lstm(inputs))

    Args:
        units: Units of the LSTM layer. Input and output have twice as many channels.
        layer: `"diagonal"` for `DiagonalBiLSTM`, `"row"` for `RowLSTM`.
        kernel_size: Odd kernel width of the Row LSTM in pixels, at least 3; not used by
            the diagonal layer.
        num_colors: Number of colors that the channels are split into.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Map of shape `(batch, height, width, 2 * units)`.
        condition: Optional map of shape `(batch, height or 1, width or 1, depth)`,
            passed to the LSTM layer.

    Output shape:
        `(batch, height, width, 2 * units)`.

    Raises:
        ValueError: If an argument or the input's shape is not as described.

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, figure 5 right, https://arxiv.org/abs/1601.06759
    """

    def __init__(
        self,
        units: int,
        layer: Literal["diagonal", "row"] = "diagonal",
        kernel_size: int = 3,
        num_colors: int = 1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.layer = layer
        self.kernel_size = kernel_size
        self.num_colors = num_colors
        masked = {"num_colors": num_colors, "dtype": self.dtype_policy}
        self.lstm = make_pixel_lstm(layer, units, kernel_size, name="lstm", **masked)
        self.expand = MaskedConv2D(2 * units, 1, "B", name="expand", **masked)

    def build(self, inputs_shape, condition_shape=None):
        self._check_channels(inputs_shape, self.units)
        self.lstm.build(inputs_shape, condition_shape)
        self.expand.build((*inputs_shape[:-1], self.units))

    def call(self, inputs, condition=None):
        return inputs + self.expand(self.lstm(inputs, condition))

    def get_config(self) -> Config:
        return {**super().get_config(), **arguments_of(self, ResidualLSTMBlock)}


def make_pixel_lstm(layer, units, kernel_size, **kwargs):
    """Return a new `DiagonalBiLSTM` or `RowLSTM`.

    Raises:
        ValueError: If there is no such layer.
    """
    check_choice("layer", layer, ("diagonal", "row"))
    if layer == "diagonal":
        return DiagonalBiLSTM(units, **kwargs)
    return RowLSTM(units, kernel_size, **kwargs)
