"""Attention that reads a glimpse of an image, and writes a patch into one."""

import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_genimg.ops.checks import check_image_shape, check_positive_int
from keras_genimg.ops.gaussian_filterbank import (
    attention_filters,
    attention_geometry,
    centered_filters,
    read_patch,
    whole_image_attention,
    write_patch,
)
from keras_genimg.types import Config, Shape


class GridAttention(keras.layers.Layer):
    """Base class: a grid of Gaussian filters, placed by a linear map of a state."""

    def __init__(self, size: int | None, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = size
        self.attention = None
        if size is not None:
            self.size = check_positive_int("size", size, type(self).__name__)
            self.attention = keras.layers.Dense(5, name="attention", dtype="float32")

    def _build_attention(self, image_size, state_shape):
        if self.attention is not None:
            numbers = centered_filters(*image_size, self.size)
            self.attention.bias_initializer = keras.initializers.Constant(numbers)
            self.attention.build(state_shape)

    def _attend(self, state, height, width):
        """Return the attention, its gamma, and row and column filters."""
        attention = attention_geometry(
            self.attention(state), height, width, self.size, self.compute_dtype
        )
        # An index such as `attention[:, 4, None, ...]` would be wrong in graphs:
        # TensorFlow 2.21's optimizer replaces a slice of a stack by the stacked tensor,
        # and drops new axes of the slice.
        gamma = tf.cast(tf.reshape(attention[:, 4], (-1, 1, 1, 1)), self.compute_dtype)
        return attention, gamma, attention_filters(attention, height, width, self.size)

    def _check_sizes(self, image_size, state_shape=(None, 1)):
        """Raise if an axis has more filters than pixels, or a state is no vector."""
        if self.size is not None and self.size > max(image_size):
            raise ValueError(
                f"`size` of {self.name} must be at most {max(image_size)}, the longer "
                f"side of its images. Pass a smaller size, or None for no attention. "
                f"Received: size={self.size}, (height, width)={tuple(image_size)}"
            )
        if len(state_shape) != 2 or state_shape[-1] is None:
            raise ValueError(
                f"{self.name} expects a state of shape (batch, units), units known, "
                f"such as the hidden state of an LSTM. Received: "
                f"shape={tuple(state_shape)}"
            )

    def compute_output_spec(self, *inputs, **named):
        # The dtypes of what `call` returns: the attention is float32 under any policy.
        return keras.Operation.compute_output_spec(self, *inputs, **named)

    def get_config(self) -> Config:
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable(package="keras_genimg")
class ReadAttention(GridAttention):
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

    def build(self, images_shape, state_shape):
        self._check_shapes(images_shape, state_shape)
        self._build_attention(images_shape[1:3], state_shape)

    def call(self, images, state):
        self._check_shapes(images.shape, state.shape)
        height, width = images.shape[1:3]
        images = ops.cast(images, self.compute_dtype)
        if self.attention is None:
            return images, whole_image_attention(ops.shape(images)[0], height, width)
        attention, gamma, filters = self._attend(state, height, width)
        return gamma * read_patch(images, *filters), attention

    def _check_shapes(self, images_shape, state_shape):
        if len(images_shape) != 4 or None in images_shape[1:]:
            raise ValueError(
                f"{self.name} expects images of shape (batch, height, width, "
                f"channels), all known but the batch, since its filters have one entry "
                f"per row or column. Pass them to `keras.Input`. Received images of "
                f"rank {len(images_shape)}: shape={tuple(images_shape)}"
            )
        self._check_sizes(images_shape[1:3], state_shape)

    def compute_output_shape(self, images_shape, state_shape):
        glimpse = tuple(images_shape)
        if self.size is not None:
            glimpse = (images_shape[0], self.size, self.size, images_shape[-1])
        return glimpse, (images_shape[0], 5)


@keras.saving.register_keras_serializable(package="keras_genimg")
class WriteAttention(GridAttention):
    """Layer that writes a patch into an image through a grid of Gaussian filters.

    One linear map of the state computes the patch. Another computes five numbers per
    image, which describe a grid of filters like that of `ReadAttention`, and begin as
    they do there:

        update = 1 / gamma * transpose(filters_y) @ patch @ filters_x

    In DRAW, the update is added to the canvas. The filters are computed in float32
    under any dtype policy.

    Args:
        size: Number of rows and of columns of the patch, at most the longer side of the
            image. With None there is no attention, and a linear map of the state
            computes the update.
        image_shape: `(height, width, channels)` of the update.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Input shape:
        `(batch, units)`.

    Output shape:
        A tuple of the update, `(batch, height, width, channels)`; and the attention,
        `(batch, 5)` in float32: center x, center y, stride and sigma in pixels, and
        gamma, see `keras_genimg.ops.gaussian_filterbank.attention_geometry`.

    Raises:
        ValueError: If an argument or the input's shape is not as described.

    Example:
        >>> update, attention = WriteAttention(5, (28, 28, 1))(np.zeros((2, 256)))
        >>> update.shape
        TensorShape([2, 28, 28, 1])
        >>> np.asarray(attention[0])
        array([13.5, 13.5,  5.6,  1. ,  1. ], dtype=float32)

    References:
        Gregor et al., DRAW: A Recurrent Neural Network For Image Generation, 2015,
        sections 3.2 and 3.3, equations 19 to 26, 28 and 29,
        https://arxiv.org/abs/1502.04623
    """

    def __init__(self, size: int | None, image_shape: Shape, **kwargs: Any):
        super().__init__(size, **kwargs)
        self.image_shape = check_image_shape(image_shape, type(self).__name__)
        self.patch_shape = self.image_shape
        if size is not None:
            self._check_sizes(self.image_shape[:2])
            self.patch_shape = (self.size, self.size, self.image_shape[-1])
        self.patch = keras.layers.Dense(
            math.prod(self.patch_shape), name="patch", dtype=self.dtype_policy
        )

    def build(self, state_shape):
        self._check_sizes(self.image_shape[:2], state_shape)
        self.patch.build(state_shape)
        self._build_attention(self.image_shape[:2], state_shape)

    def call(self, state):
        self._check_sizes(self.image_shape[:2], state.shape)
        height, width = self.image_shape[:2]
        patch = ops.reshape(self.patch(state), (-1, *self.patch_shape))
        if self.attention is None:
            return patch, whole_image_attention(ops.shape(state)[0], height, width)
        attention, gamma, filters = self._attend(state, height, width)
        return write_patch(patch / gamma, *filters), attention

    def compute_output_shape(self, state_shape):
        return (state_shape[0], *self.image_shape), (state_shape[0], 5)

    def get_config(self) -> Config:
        return {**super().get_config(), "image_shape": self.image_shape}
