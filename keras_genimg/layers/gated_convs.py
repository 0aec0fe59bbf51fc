"""Layers of the two stacks of the Gated PixelCNN."""

from typing import Any, Literal

import keras
import tensorflow as tf
from keras import ops

from keras_genimg.layers.causal_layer import CausalLayer
from keras_genimg.layers.masked_conv2d import MaskedConv2D
from keras_genimg.ops.checks import (
    check_built_with_condition,
    check_choice,
    check_condition,
    check_feature_map,
    check_odd,
    check_positive_int,
)
from keras_genimg.ops.configurable import arguments_of, copy_of, own_arguments
from keras_genimg.ops.convolution import padded_conv2d, prepare_row_conv, row_conv
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
        # The cache holds the rows above, concatenated on the last axis.
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


@keras.saving.register_keras_serializable(package="keras_genimg")
class GatedVerticalConv(GatedConv):
    """Layer of the vertical stack of a Gated PixelCNN, which sees the rows above.

    Every layer computes the two halves of a gate. The next one applies the gate and
    convolves the result. With a kernel `V`, `*` for a convolution, a 1×1 convolution
    `A` of the condition, and `gate([x, y]) = tanh(x) sigmoid(y)`:

        outputs = V * inputs + A condition + bias          (mask "A")
        outputs = V * gate(inputs) + A condition + bias    (mask "B")

    With mask `"A"`, for the layer that reads the image, `V` covers the `kernel_size //
    2` rows above the pixel. With mask `"B"` it also covers the pixel's own row, left
    and right of it. The inputs must then depend only on finished rows, so they come
    from another layer of the stack. Together, the layers see all columns above a pixel,
    in a rectangle that grows with the depth. The channels are not split into colors,
    since all colors of the rows above are known.

    The incremental sampler computes the stack once per row.

    Args:
        filters: Channels of a gate. The output has twice as many.
        kernel_size: Odd width of the kernel in pixels, at least 3.
        mask_type: `"A"` for a layer that reads the image, `"B"` for all later ones.
        activation: Activation of the gated half.
        use_bias: Whether the convolution has a bias.
        kernel_initializer: Initializer of all kernels.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Regularizer of all kernels.
        bias_regularizer: Regularizer of the bias.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Image, `(batch, height, width, channels)`, with mask `"A"`; or the
            output of the previous layer, with an even number of channels.
        condition: Optional map of shape `(batch, height or 1, width or 1, depth)`,
            added without a mask to both halves of the gate.

    Output shape:
        `(batch, height, width, 2 * filters)`.

    Raises:
        ValueError: If an argument or the input's shape is not as described.

    Example:
        >>> first = GatedVerticalConv(16, 7, mask_type="A")
        >>> second = GatedVerticalConv(16, 3)
        >>> second(first(np.zeros((2, 28, 28, 1)))).shape
        TensorShape([2, 28, 28, 32])

    References:
        van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016,
        sections 2.1 to 2.3, figure 2 and equations 2 to 5,
        https://arxiv.org/abs/1606.05328
    """

    def _make_layers(self):
        self.convolution = VerticalGates(
            self.filters,
            self.kernel_size,
            self.mask_type,
            name="convolution",
            **self.weight_arguments(),
        )

    def build(self, inputs_shape, condition_shape=None):
        check_feature_map(inputs_shape, 1, self.name)
        channels = inputs_shape[-1]
        if self.mask_type == "B":
            if channels % 2:
                raise ValueError(
                    f"{self.name} with mask_type='B' reads the two halves of a gate, "
                    f"so its input must have an even number of channels. Received: "
                    f"shape={tuple(inputs_shape)}"
                )
            channels //= 2
        self.convolution.build((*inputs_shape[:-1], channels))
        self.build_condition(inputs_shape, condition_shape)

    def call(self, inputs, condition=None):
        if self.mask_type == "B":
            inputs = self.gate(inputs)
        return self.add_condition(self.convolution(inputs), condition)

    def compute_output_shape(self, inputs_shape, condition_shape=None):
        return (*inputs_shape[:-1], 2 * self.filters)


@keras.saving.register_keras_serializable(package="keras_genimg")
class GatedHorizontalConv(GatedConv):
    """Layer of the horizontal stack of a Gated PixelCNN, which sees its own row.

    With a masked kernel `H` along the row, `*` for a convolution, 1×1 convolutions `L`,
    `B` and `R`, and `gate([x, y]) = tanh(x) sigmoid(y)`:

        features = H * inputs + L vertical + B condition + bias
        outputs = R gate(features)             (mask "A")
        outputs = R gate(features) + inputs    (mask "B")

    The channels of `inputs`, of each half of the gate and of the outputs are split into
    `num_colors` contiguous groups. `H` and `R` are masked, so that no color sees a
    later one of its pixel. `L` and `B` are not, since rows above and conditions may be
    seen by all colors.

    Args:
        filters: Channels of the gate and of the output, at least `num_colors`.
        kernel_size: Odd width of the kernel in pixels, at least 3.
        mask_type: `"A"` for a layer that reads the image, `"B"` for all later ones.
        num_colors: Number of colors that the channels are split into, 1 for gray
            images and 3 for RGB.
        activation: Activation of the gated half.
        use_bias: Whether the convolutions of the stack have biases.
        kernel_initializer: Initializer of all kernels.
        bias_initializer: Initializer of the biases.
        kernel_regularizer: Regularizer of all kernels.
        bias_regularizer: Regularizer of the biases.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Image, `(batch, height, width, channels)`, with mask `"A"`; or the
            output of the previous layer, with `filters` channels.
        vertical: Output of `GatedVerticalConv`, `(batch, height, width, features)`.
        condition: Optional map of shape `(batch, height or 1, width or 1, depth)`,
            added without a mask to both halves of the gate.

    Output shape:
        `(batch, height, width, filters)`.

    Raises:
        ValueError: If an argument or a shape is not as described.

    Example:
        >>> images = np.zeros((2, 28, 28, 1))
        >>> vertical = GatedVerticalConv(16, 7, mask_type="A")(images)
        >>> GatedHorizontalConv(16, 7, mask_type="A")(images, vertical).shape
        TensorShape([2, 28, 28, 16])

    References:
        van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016,
        sections 2.1 to 2.3, figure 2 and equations 2 to 5,
        https://arxiv.org/abs/1606.05328
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        mask_type: Literal["A", "B"] = "B",
        num_colors: int = 1,
        activation: Identifier = "tanh",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        **kwargs: Any,
    ):
        arguments = own_arguments(locals(), "num_colors")
        self.num_colors = num_colors
        super().__init__(**arguments, **kwargs)

    def _make_layers(self):
        self.convolution = HorizontalGates(
            2 * self.filters,
            (1, self.kernel_size),
            self.mask_type,
            self.num_colors,
            name="convolution",
            **self.weight_arguments(),
        )
        # A bias would only repeat that of the convolution.
        self.link = keras.layers.Dense(
            2 * self.filters, name="link", **self.weight_arguments(use_bias=False)
        )
        self.combine = MaskedConv2D(
            self.filters,
            1,
            "B",
            self.num_colors,
            name="combine",
            **self.weight_arguments(),
        )

    def build(self, inputs_shape, vertical_shape, condition_shape=None):
        check_feature_map(inputs_shape, self.num_colors, self.name)
        check_condition(
            inputs_shape, vertical_shape, self.name, "vertical", broadcasts=False
        )
        if self.mask_type == "B" and inputs_shape[-1] != self.filters:
            raise ValueError(
                f"{self.name} with mask_type='B' adds its output to its input, so its "
                f"input must be a map of {self.filters} channels. Received: "
                f"shape={tuple(inputs_shape)}"
            )
        self.convolution.build(inputs_shape)
        self.link.build(vertical_shape)
        self.combine.build((*inputs_shape[:-1], self.filters))
        self.build_condition(inputs_shape, condition_shape)

    def call(self, inputs, vertical, condition=None):
        features = self.convolution(inputs) + self.link(vertical)
        outputs = self.combine(self.gate(self.add_condition(features, condition)))
        return outputs if self.mask_type == "A" else outputs + inputs

    def compute_output_shape(self, inputs_shape, vertical_shape, condition_shape=None):
        return (*inputs_shape[:-1], self.filters)

    def get_config(self) -> Config:
        return {**super().get_config(), "num_colors": self.num_colors}
