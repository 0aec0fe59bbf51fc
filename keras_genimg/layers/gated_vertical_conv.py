"""Vertical stack of the Gated PixelCNN."""

import keras

from keras_genimg.layers.gated_conv import GatedConv
from keras_genimg.layers.gated_kernels import VerticalGates
from keras_genimg.ops.checks import check_feature_map


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
