"""Color axis of a network's output."""

from typing import Any

import keras
from keras import ops

from keras_genimg.ops.checks import check_positive_int
from keras_genimg.types import Config


@keras.saving.register_keras_serializable(package="keras_genimg")
class SplitColors(keras.layers.Layer):
    """Layer that splits the channels of a map into colors and values.

    Args:
        num_colors: Number of colors; must divide the channels.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Input shape:
        `(batch, height, width, num_colors * values)`.

    Output shape:
        `(batch, height, width, num_colors, values)`.

    Raises:
        ValueError: If the channels cannot be split evenly.
    """

    def __init__(self, num_colors: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_colors = check_positive_int(
            "num_colors", num_colors, type(self).__name__
        )

    def build(self, input_shape):
        if input_shape[-1] is None or input_shape[-1] % self.num_colors:
            raise ValueError(
                f"{self.name} cannot split the channels of its input into "
                f"{self.num_colors} colors. Received: shape={tuple(input_shape)}"
            )

    def call(self, inputs):
        return ops.reshape(inputs, self.compute_output_shape(ops.shape(inputs)))

    def compute_output_shape(self, input_shape):
        values = input_shape[-1] // self.num_colors
        return (*input_shape[:-1], self.num_colors, values)

    def get_config(self) -> Config:
        return {**super().get_config(), "num_colors": self.num_colors}
