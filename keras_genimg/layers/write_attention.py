"""Attention that writes a patch into an image."""

import math
from typing import Any

import keras
from keras import ops

from keras_genimg.layers.read_attention import (
    attention_specs,
    check_glimpse_size,
    check_state_shape,
)
from keras_genimg.ops.checks import check_image_shape, check_positive_int
from keras_genimg.ops.gaussian_filterbank import (
    attention_filters,
    attention_gamma,
    attention_geometry,
    centered_filters,
    whole_image_attention,
    write_patch,
)
from keras_genimg.types import Config, Shape


@keras.saving.register_keras_serializable(package="keras_genimg")
class WriteAttention(keras.layers.Layer):
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
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.size = size
        self.image_shape = check_image_shape(image_shape, owner)
        self.patch_shape = self.image_shape
        self.attention = None
        if size is not None:
            self.size = check_positive_int("size", size, owner)
            check_glimpse_size(self.size, self.image_shape[:2], owner)
            self.patch_shape = (self.size, self.size, self.image_shape[-1])
            self.attention = keras.layers.Dense(5, name="attention", dtype="float32")
        self.patch = keras.layers.Dense(
            math.prod(self.patch_shape), name="patch", dtype=self.dtype_policy
        )

    def build(self, state_shape):
        check_state_shape(state_shape, self.name)
        self.patch.build(state_shape)
        if self.attention is not None:
            numbers = centered_filters(*self.image_shape[:2], self.size)
            self.attention.bias_initializer = keras.initializers.Constant(numbers)
            self.attention.build(state_shape)

    def call(self, state):
        check_state_shape(state.shape, self.name)
        height, width = self.image_shape[:2]
        patch = ops.reshape(self.patch(state), (-1, *self.patch_shape))
        if self.attention is None:
            return patch, whole_image_attention(ops.shape(state)[0], height, width)
        attention = attention_geometry(
            self.attention(state), height, width, self.size, self.compute_dtype
        )
        filters = attention_filters(attention, height, width, self.size)
        gamma = ops.cast(attention_gamma(attention), self.compute_dtype)
        return write_patch(patch / gamma, *filters), attention

    def compute_output_shape(self, state_shape):
        return (state_shape[0], *self.image_shape), (state_shape[0], 5)

    def compute_output_spec(self, state):
        shapes = self.compute_output_shape(state.shape)
        return attention_specs(shapes, self.compute_dtype)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "size": self.size,
            "image_shape": self.image_shape,
        }
