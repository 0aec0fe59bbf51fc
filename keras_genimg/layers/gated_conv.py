"""Base class of the layers of the Gated PixelCNN."""

from typing import Any, Literal

import keras
import tensorflow as tf
from keras import ops

from keras_genimg.ops.checks import (
    check_built_with_condition,
    check_choice,
    check_condition,
    check_odd,
    check_positive_int,
)
from keras_genimg.ops.configurable import arguments_of, copy_of
from keras_genimg.types import Config, Identifier, Shape


class GatedConv(keras.layers.Layer):
    """Base class of the two stacks of a Gated PixelCNN: arguments, gate, condition.

    A subclass implements `_make_layers`, with `weight_arguments`, and its `build` calls
    `build_condition`.
    """

    composite = True  # Tells the sampler to evaluate the inner layers.

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        mask_type: Literal["A", "B"] = "B",
        activation: Identifier = "tanh",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.filters = check_positive_int("filters", filters, owner)
        self.kernel_size = check_odd("kernel_size", kernel_size, owner, smallest=3)
        self.mask_type = check_choice("mask_type", mask_type, ("A", "B"), owner)
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.project = None
        self._make_layers()

    def weight_arguments(self, use_bias: bool = True) -> dict[str, Any]:
        """Return the keyword arguments of a new inner layer, dtype policy included.

        Args:
            use_bias: Whether the layer has a bias, if this layer has biases at all.
        """
        return {
            "use_bias": use_bias and self.use_bias,
            "kernel_initializer": copy_of(self.kernel_initializer),
            "bias_initializer": copy_of(self.bias_initializer),
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "dtype": self.dtype_policy,
        }

    def build_condition(
        self, inputs_shape: Shape, condition_shape: Shape | None
    ) -> None:
        """Make the weights of the condition, if there is one.

        Raises:
            ValueError: If the condition does not match the input.
        """
        if condition_shape is None:
            return
        check_condition(inputs_shape, condition_shape, self.name)
        self.project = keras.layers.Dense(
            2 * self.filters, name="project", **self.weight_arguments(use_bias=False)
        )
        self.project.build(condition_shape)

    def add_condition(
        self, features: tf.Tensor, condition: tf.Tensor | None
    ) -> tf.Tensor:
        """Add the projected condition to the features of the gates."""
        check_built_with_condition(self.project, condition, self.name)
        return features if condition is None else features + self.project(condition)

    def gate(self, features: tf.Tensor) -> tf.Tensor:
        """Return one half of the channels, gated by the other (equation 2)."""
        signal, gates = ops.split(features, 2, axis=-1)
        return self.activation(signal) * ops.sigmoid(gates)

    def get_config(self) -> Config:
        own = arguments_of(self, GatedConv)
        own["activation"] = keras.activations.serialize(self.activation)
        return {**super().get_config(), **own}
