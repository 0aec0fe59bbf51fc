"""Residual block of the PixelCNN."""

from typing import Any

import keras
from keras import ops

from keras_genimg.layers.masked_conv2d import MaskedConv2D
from keras_genimg.ops.checks import (
    check_built_with_condition,
    check_condition,
    check_odd,
    check_positive_int,
)
from keras_genimg.types import Config


@keras.saving.register_keras_serializable(package="keras_genimg")
class ResidualMaskedConvBlock(keras.layers.Layer):
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

    composite = True  # Tells the sampler to evaluate the inner layers.

    def __init__(
        self, filters: int, kernel_size: int = 3, num_colors: int = 1, **kwargs: Any
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.filters = check_positive_int("filters", filters, owner)
        self.kernel_size = check_odd("kernel_size", kernel_size, owner, smallest=3)
        self.num_colors = num_colors
        masked = {
            "mask_type": "B",
            "num_colors": num_colors,
            "dtype": self.dtype_policy,
        }
        self.reduce = MaskedConv2D(filters, 1, name="reduce", **masked)
        self.convolution = MaskedConv2D(
            filters, kernel_size, name="convolution", **masked
        )
        self.expand = MaskedConv2D(2 * filters, 1, name="expand", **masked)
        self.project = None

    def build(self, inputs_shape, condition_shape=None):
        check_block_channels(self, inputs_shape, self.filters)
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

    def compute_output_shape(self, inputs_shape, condition_shape=None):
        return tuple(inputs_shape)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "num_colors": self.num_colors,
        }


def check_block_channels(block, shape, units):
    """Raise an error unless the input of a residual block has `2 * units` channels.

    Raises:
        ValueError: If the last axis of `shape` is not `2 * units`.
    """
    if len(shape) != 4 or shape[-1] != 2 * units:
        raise ValueError(
            f"{type(block).__name__} '{block.name}' adds its output to its input, so "
            f"its input must be a map of {2 * units} channels, twice its own width "
            f"of {units}. Received: shape={tuple(shape)}"
        )
