"""Horizontal stack of the Gated PixelCNN."""

from typing import Any, Literal

import keras

from keras_genimg.layers.gated_conv import GatedConv
from keras_genimg.layers.gated_kernels import HorizontalGates
from keras_genimg.layers.masked_conv2d import MaskedConv2D
from keras_genimg.ops.checks import check_condition, check_feature_map
from keras_genimg.ops.configurable import own_arguments
from keras_genimg.types import Config, Identifier


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
        # Without a bias, which would only repeat that of the convolution.
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
