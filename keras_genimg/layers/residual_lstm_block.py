"""Residual block of the PixelRNN."""

from typing import Any, Literal

import keras

from keras_genimg.layers.diagonal_bilstm import DiagonalBiLSTM
from keras_genimg.layers.masked_conv2d import MaskedConv2D
from keras_genimg.layers.residual_masked_conv_block import check_block_channels
from keras_genimg.layers.row_lstm import RowLSTM
from keras_genimg.ops.checks import check_choice
from keras_genimg.types import Config


@keras.saving.register_keras_serializable(package="keras_genimg")
class ResidualLSTMBlock(keras.layers.Layer):
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

    composite = True  # Tells the sampler to evaluate the inner layers.

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
        self.layer = check_choice(
            "layer", layer, ("diagonal", "row"), type(self).__name__
        )
        self.kernel_size = kernel_size
        self.num_colors = num_colors
        self.lstm = make_pixel_lstm(
            layer,
            units,
            kernel_size,
            num_colors=num_colors,
            name="lstm",
            dtype=self.dtype_policy,
        )
        self.expand = MaskedConv2D(
            2 * units,
            1,
            mask_type="B",
            num_colors=num_colors,
            name="expand",
            dtype=self.dtype_policy,
        )

    def build(self, inputs_shape, condition_shape=None):
        check_block_channels(self, inputs_shape, self.units)
        self.lstm.build(inputs_shape, condition_shape)
        self.expand.build((*inputs_shape[:-1], self.units))

    def call(self, inputs, condition=None):
        return inputs + self.expand(self.lstm(inputs, condition))

    def compute_output_shape(self, inputs_shape, condition_shape=None):
        return tuple(inputs_shape)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "units": self.units,
            "layer": self.layer,
            "kernel_size": self.kernel_size,
            "num_colors": self.num_colors,
        }


def make_pixel_lstm(layer, units, kernel_size, **kwargs):
    """Return a new `DiagonalBiLSTM` or `RowLSTM`."""
    if layer == "diagonal":
        return DiagonalBiLSTM(units, **kwargs)
    return RowLSTM(units, kernel_size, **kwargs)
