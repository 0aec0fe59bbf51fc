"""Masked convolution."""

from typing import Any, Literal

import keras
import tensorflow as tf

from keras_genimg.layers.causal_layer import CausalLayer, step_of_window
from keras_genimg.ops.checks import (
    check_choice,
    check_color_channels,
    check_feature_map,
    check_odd,
    check_positive_int,
)
from keras_genimg.ops.color_masks import causal_kernel_mask
from keras_genimg.ops.convolution import (
    affine,
    padded_conv2d,
    pointwise_product,
    prepare_affine,
    prepare_row_conv,
    row_conv,
)
from keras_genimg.types import Config, Shape

# A causal convolution has these values of some arguments of Conv2D.
_FIXED = {
    "strides": (1, 1),
    "padding": "same",
    "data_format": "channels_last",
    "dilation_rate": (1, 1),
    "groups": 1,
}


@keras.saving.register_keras_serializable(package="keras_genimg")
class MaskedConv2D(CausalLayer, keras.layers.Conv2D):
    """2-D convolution, masked so that no sub-pixel sees a later one.

    The kernel is multiplied by a constant mask of zeros and ones. Rows below the center
    are all masked, so only the center row and those above it are convolved. Channels of
    input and output are split into `num_colors` contiguous groups: channel `k` of `F`
    belongs to color `floor(k * num_colors / F)`.

    Mask `"A"`, for the layer that reads the image, hides each color of the center pixel
    from itself. Mask `"B"`, for all later layers, lets a color see itself.

    Args:
        filters: Number of output channels, at least `num_colors`.
        kernel_size: Odd integer or pair of odd integers, `(height, width)`. With mask
            `"A"` at least one of them must be 3 or more.
        mask_type: `"A"` or `"B"`.
        num_colors: Number of colors that the channels are split into, 1 for gray
            images and 3 for RGB.
        **kwargs: Arguments of `keras.layers.Conv2D`, such as `activation`, `use_bias`,
            initializers, regularizers and constraints. Not supported: strides, dilation
            and groups other than 1, `padding` other than `"same"`, and channels-first
            data.

    Input shape:
        `(batch, height, width, channels)`, with at least `num_colors` channels.

    Output shape:
        `(batch, height, width, filters)`.

    Raises:
        ValueError: If an argument or the input's shape is not as described.

    Example:
        >>> layer = MaskedConv2D(8, 7, mask_type="A")
        >>> layer(np.zeros((1, 28, 28, 1))).shape
        TensorShape([1, 28, 28, 8])

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 3.4, https://arxiv.org/abs/1601.06759
    """

    _gates = 1  # Number of maps side by side, each split into colors separately.

    def __init__(
        self,
        filters: int,
        kernel_size: int | Shape,
        mask_type: Literal["A", "B"],
        num_colors: int = 1,
        **kwargs: Any,
    ):
        name = type(self).__name__
        filters = check_positive_int("filters", filters, name)
        num_colors = check_positive_int("num_colors", num_colors, name)
        check_choice("mask_type", mask_type, ("A", "B"), name)
        check_color_channels("filters", filters, num_colors, name)
        is_pair = isinstance(kernel_size, (tuple, list))
        pair = kernel_size if is_pair else (kernel_size, kernel_size)
        sizes = [check_odd("kernel_size", size, name) for size in pair]
        super().__init__(filters, sizes, **{**_FIXED, **kwargs})
        if mask_type == "A" and max(sizes) < 3:
            raise ValueError(
                f"With mask_type='A' the center of the kernel is hidden, so a "
                f"`kernel_size` of {name} below 3 sees nothing. Use 3 or more, or "
                f"mask_type='B'. Received: kernel_size={kernel_size!r}"
            )
        for key, value in _FIXED.items():
            if getattr(self, key) != value:
                raise ValueError(
                    f"{name} supports only {key}={value!r}, because a map must keep "
                    f"its size and order of pixels. Received: "
                    f"{key}={getattr(self, key)!r}"
                )
        self.mask_type = mask_type
        self.num_colors = num_colors

    def build(self, input_shape):
        check_feature_map(input_shape, self.num_colors, self.name)
        super().build(input_shape)
        self.mask = causal_kernel_mask(
            self.kernel_size,
            input_shape[-1],
            self.filters // self._gates,
            self.mask_type,
            self.num_colors,
            self._gates,
        )

    def masked_kernel(self, kernel: tf.Tensor) -> tf.Tensor:
        """Return the rows of `kernel` that the layer convolves, masked."""
        live_rows = self.kernel_size[0] // 2 + 1
        return kernel[:live_rows] * tf.cast(self.mask[:live_rows], kernel.dtype)

    def convolution_op(self, inputs, kernel):
        height, width = self.kernel_size
        kernel = self.masked_kernel(kernel)
        if (height, width) == (1, 1):
            return pointwise_product(inputs, kernel[0, 0])
        return padded_conv2d(inputs, kernel, height // 2, width // 2)

    @property
    def reach(self):
        """Columns to either side that the layer sees of the rows above."""
        height, width = self.kernel_size
        return width // 2 if height > 1 else 0

    def prepare(self, fused):
        height, width = self.kernel_size
        kernel = tf.cast(self.masked_kernel(self.kernel), self.compute_dtype)
        bias = None if self.bias is None else tf.cast(self.bias, self.compute_dtype)
        # In the center row, a step sees the taps left of the center, and the center
        # itself unless the mask hides it.
        channels = kernel.shape[2]
        taps = width // 2 + 1
        if not self.mask[height // 2, width // 2].any():
            taps -= 1
        left = tf.reshape(kernel[-1, :taps], (taps * channels, self.filters))
        if height == 1:
            return {"left": prepare_affine(left, bias)}
        return {"above": prepare_row_conv(kernel[:-1], bias), "left": (left, None)}

    def initial_cache(self, weights, batch, width, channels):
        rows, columns = (size // 2 for size in self.kernel_size)
        # The cache holds the rows above, concatenated on the last axis, and the zeros
        # to the left of the image.
        return (
            tf.zeros((width, batch, rows * channels), self.compute_dtype),
            tf.zeros((batch, columns * channels), self.compute_dtype),
        )

    def begin_row(self, weights, cache):
        above, border = cache
        if self.kernel_size[0] == 1:
            return (border,), ()
        return (border,), (row_conv(above, weights["above"]),)

    def begin_pixel(self, weights, cache):
        above, border = cache
        if self.kernel_size[0] == 1:
            return (border,), ()
        kernel, bias = weights["above"]
        kernel = tf.reshape(kernel, (-1, self.filters))
        outputs = tf.matmul(tf.concat(above, axis=-1), kernel)
        return (border,), (outputs if bias is None else outputs + bias,)

    def step(self, weights, carry, row, inputs):
        (window,) = carry
        seen = tf.concat([window, inputs], axis=-1) if window.shape[-1] else inputs
        # Mask A of a gray image hides the pixel itself.
        sees_center = weights["left"][0].shape[0] == seen.shape[1]
        outputs = affine(seen if sees_center else window, weights["left"])
        if row:
            outputs = outputs + row[0]
        if self.activation is not None:
            outputs = self.activation(outputs)
        kept = (inputs,) if row else ()
        if window.shape[-1] == inputs.shape[-1]:
            window = inputs
        elif window.shape[-1]:
            window = seen[:, inputs.shape[-1] :]
        return outputs, (window,), kept

    def step_row(self, weights, carry, row, inputs):
        return step_of_window(self, weights, carry, row, inputs)

    def end_row(self, weights, cache, kept):
        if not kept:
            return cache
        above, border = cache
        (row,) = kept
        if above.shape[-1] == row.shape[-1]:
            return row, border
        return tf.concat([above[..., row.shape[-1] :], row], axis=-1), border

    def get_config(self) -> Config:
        config = super().get_config()
        for key in (*_FIXED, "rank"):
            config.pop(key, None)
        return {**config, "mask_type": self.mask_type, "num_colors": self.num_colors}
