"""Attention that reads a glimpse of an image."""

from typing import Any

import keras
from keras import ops

from keras_genimg.ops.checks import check_positive_int
from keras_genimg.ops.gaussian_filterbank import (
    attention_filters,
    attention_gamma,
    attention_geometry,
    centered_filters,
    read_patch,
    whole_image_attention,
)
from keras_genimg.types import Config


@keras.saving.register_keras_serializable(package="keras_genimg")
class ReadAttention(keras.layers.Layer):
    """Layer that reads a glimpse of an image through a grid of Gaussian filters.

    A linear map of the state computes five numbers per image: the position, stride,
    filter width and gain of a square grid of Gaussian filters. Stride and filter width
    are the same for both axes. With `filters_y` and `filters_x`, normalized over the
    image's rows and columns and shared by all channels,

        glimpse = gamma * filters_y @ image @ transpose(filters_x)

    In DRAW, the image and the error image are concatenated along the channels. The
    filters are computed in float32 under any dtype policy. The biases of the linear map
    are such that training begins with filters in the centers of `size` equal parts of
    the image's longer side; the paper does not say how it began.

    Args:
        size: Number of rows and of columns of the glimpse, at most the longer side of
            the image. With None there is no attention, and the glimpse is the image.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        images: `(batch, height, width, channels)`; all sizes but the batch must be
            known.
        state: `(batch, units)`.

    Output shape:
        A tuple of the glimpse, `(batch, size, size, channels)` or
        `(batch, height, width, channels)` if `size` is None; and the attention,
        `(batch, 5)` in float32: center x, center y, stride and sigma in pixels, and
        gamma, see `keras_genimg.ops.gaussian_filterbank.attention_geometry`.

    Raises:
        ValueError: If an argument or an input's shape is not as described.

    Example:
        >>> images, state = np.zeros((2, 28, 28, 2)), np.zeros((2, 256))
        >>> glimpse, attention = ReadAttention(5)(images, state)
        >>> glimpse.shape
        TensorShape([2, 5, 5, 2])
        >>> np.asarray(attention[0])
        array([13.5, 13.5,  5.6,  1. ,  1. ], dtype=float32)

    References:
        Gregor et al., DRAW: A Recurrent Neural Network For Image Generation, 2015,
        sections 3.2 and 3.3, equations 19 to 27, https://arxiv.org/abs/1502.04623
    """

    def __init__(self, size: int | None, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = size
        self.attention = None
        if size is not None:
            self.size = check_positive_int("size", size, type(self).__name__)
            self.attention = keras.layers.Dense(5, name="attention", dtype="float32")

    def build(self, images_shape, state_shape):
        self._check_shapes(images_shape, state_shape)
        if self.attention is not None:
            numbers = centered_filters(*images_shape[1:3], self.size)
            self.attention.bias_initializer = keras.initializers.Constant(numbers)
            self.attention.build(state_shape)

    def call(self, images, state):
        self._check_shapes(images.shape, state.shape)
        height, width = images.shape[1:3]
        images = ops.cast(images, self.compute_dtype)
        if self.attention is None:
            return images, whole_image_attention(ops.shape(images)[0], height, width)
        attention = attention_geometry(
            self.attention(state), height, width, self.size, self.compute_dtype
        )
        filters = attention_filters(attention, height, width, self.size)
        gamma = ops.cast(attention_gamma(attention), self.compute_dtype)
        return gamma * read_patch(images, *filters), attention

    def _check_shapes(self, images_shape, state_shape):
        if len(images_shape) != 4:
            raise ValueError(
                f"{self.name} expects images of shape (batch, height, width, "
                f"channels). Received images of rank {len(images_shape)}: "
                f"shape={tuple(images_shape)}"
            )
        if None in images_shape[1:]:
            raise ValueError(
                f"{self.name} needs to know height, width and channels of its images, "
                f"since its filters have one entry per row or column. Pass them to "
                f"`keras.Input`. Received: shape={tuple(images_shape)}"
            )
        check_glimpse_size(self.size, images_shape[1:3], self.name)
        check_state_shape(state_shape, self.name)

    def compute_output_shape(self, images_shape, state_shape):
        glimpse = tuple(images_shape)
        if self.size is not None:
            glimpse = (images_shape[0], self.size, self.size, images_shape[-1])
        return glimpse, (images_shape[0], 5)

    def compute_output_spec(self, images, state):
        shapes = self.compute_output_shape(images.shape, state.shape)
        return attention_specs(shapes, self.compute_dtype)

    def get_config(self) -> Config:
        return {**super().get_config(), "size": self.size}


def check_glimpse_size(size, image_size, owner):
    """Raise an error if an axis has more filters than the image has pixels.

    Raises:
        ValueError: If `size` is above height and width, `image_size`.
    """
    if size is not None and size > max(image_size):
        raise ValueError(
            f"`size` of {owner} must be at most {max(image_size)}, the longer side of "
            f"its images. Pass a smaller size, or None for no attention. Received: "
            f"size={size}, (height, width)={tuple(image_size)}"
        )


def check_state_shape(state_shape, owner):
    """Raise unless `state_shape` is `(batch, units)`.

    Raises:
        ValueError: If the rank is not 2 or the units are unknown.
    """
    if len(state_shape) != 2 or state_shape[-1] is None:
        raise ValueError(
            f"{owner} expects a state of shape (batch, units), units known, such as "
            f"the hidden state of an LSTM. Received: shape={tuple(state_shape)}"
        )


def attention_specs(shapes, dtype):
    """Return symbolic outputs: one of `dtype`, and the attention in float32."""
    output, attention = shapes
    return keras.KerasTensor(output, dtype), keras.KerasTensor(attention, "float32")
