"""Convolutions of the Gated PixelCNN that compute both halves of its gates."""

from typing import Any, Literal

import keras
import tensorflow as tf
from keras import ops

from keras_genimg.layers.causal_layer import CausalLayer
from keras_genimg.layers.masked_conv2d import MaskedConv2D
from keras_genimg.ops.convolution import padded_conv2d, prepare_row_conv, row_conv


class HorizontalGates(MaskedConv2D):
    """Masked convolution whose output is two maps side by side.

    Each half of the output is split into colors separately, so that multiplying the
    halves keeps the order of colors.
    """

    _gates = 2


class VerticalGates(CausalLayer, keras.layers.Conv2D):
    """Convolution over the rows above a pixel, without a mask.

    With mask `"A"` the kernel covers the `kernel_size // 2` rows above the pixel. With
    mask `"B"` it also covers the pixel's own row, on both sides: the input must then
    depend on finished rows only, as the output of mask `"A"` does.

    Args:
        filters: Channels of each half of the output.
        kernel_size: Odd width of the kernel.
        mask_type: `"A"` or `"B"`.
        **kwargs: Arguments of `keras.layers.Conv2D`.

    Attributes:
        sees_whole_row: Whether an output depends on pixels to its right. The sampler
            computes such a layer once per row, from whole rows of inputs.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        mask_type: Literal["A", "B"],
        **kwargs: Any,
    ):
        self.num_above = kernel_size // 2
        own_row = mask_type == "B"
        shape = (self.num_above + own_row, kernel_size)
        super().__init__(
            2 * filters, shape, padding="same", data_format="channels_last", **kwargs
        )
        self.sees_current_row = self.sees_whole_row = own_row

    def convolution_op(self, inputs, kernel):
        reach = self.num_above
        outputs = padded_conv2d(inputs, ops.convert_to_tensor(kernel), reach, reach)
        if self.sees_whole_row:
            return outputs
        # The smaller kernel of mask "A" also fits below the last row. The gradient of
        # `outputs[:, :-1]` would be slower.
        size = (-1, ops.shape(inputs)[1], -1, -1)
        outputs = tf.slice(outputs, (0, 0, 0, 0), size)
        outputs.set_shape((*inputs.shape[:3], self.filters))
        return outputs

    def prepare(self, fused):
        kernel = tf.cast(ops.convert_to_tensor(self.kernel), self.compute_dtype)
        bias = None if self.bias is None else tf.cast(self.bias, self.compute_dtype)
        return prepare_row_conv(kernel, bias)

    def initial_cache(self, weights, batch, width, channels):
        # The rows above, concatenated on the last axis.
        shape = (width, batch, self.num_above * channels)
        return (tf.zeros(shape, self.compute_dtype),)

    def begin_row(self, weights, cache, inputs=None):
        """Compute the outputs of a row.

        Args:
            weights: What `prepare` returned.
            cache: The rows above.
            inputs: This row of the inputs, `(width, batch, channels)`, for a layer that
                sees it.
        """
        rows = cache[0]
        if inputs is not None:
            rows = tf.concat([rows, inputs], axis=-1)
        return (), (row_conv(rows, weights),)

    def end_row(self, weights, cache, kept):
        (row,) = kept
        return (tf.concat([cache[0][..., row.shape[-1] :], row], axis=-1),)
