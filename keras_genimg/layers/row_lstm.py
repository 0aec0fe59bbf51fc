"""Row LSTM."""

import keras
import tensorflow as tf

from keras_genimg.layers.pixel_lstm import PixelLSTM
from keras_genimg.ops.checks import check_odd
from keras_genimg.ops.conv_lstm_scan import conv_lstm_scan


@keras.saving.register_keras_serializable(package="keras_genimg")
class RowLSTM(PixelLSTM):
    """LSTM that processes an image row by row, from top to bottom.

    With `*` a convolution along the row, `Kis` masked and `Kss` not:

        [o, f, i, g] = Kss * hidden[row - 1] + Kis * inputs[row] + bias
        cell[row] = sigmoid(f) * cell[row - 1] + sigmoid(i) * tanh(g)
        hidden[row] = sigmoid(o) * tanh(cell[row])

    The states before the first row are learned. A pixel sees a triangle above it,
    wider for a larger kernel, and not the whole past; `DiagonalBiLSTM` does.

    Args:
        units: Number of output channels, at least `num_colors`.
        kernel_size: Odd width of both kernels in pixels, at least 3.
        num_colors: Number of colours that the channels are split into, 1 for grey
            images and 3 for RGB.
        mask_type: Mask of the input-to-state kernel: `"B"`, or `"A"` for a layer that
            reads the image itself.
        use_bias: Whether the input-to-state map has a bias.
        unit_forget_bias: Whether 1 is added to the forget gates' initial bias.
        kernel_initializer: Initializer of the input-to-state kernel.
        recurrent_initializer: Initializer of the state-to-state kernel.
        bias_initializer: Initializer of the bias.
        state_initializer: Initializer of the learned initial states.
        kernel_regularizer: Regularizer of the input-to-state kernel.
        recurrent_regularizer: Regularizer of the state-to-state kernel.
        bias_regularizer: Regularizer of the bias.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Map of shape `(batch, height, width, channels)`.
        condition: Optional map of shape `(batch, height or 1, width or 1, depth)`,
            seen by every gate without a mask.

    Output shape:
        `(batch, height, width, units)`.

    Raises:
        ValueError: If an argument or the input's shape is not as described.

    Example:
        >>> RowLSTM(16)(np.zeros((2, 28, 28, 32))).shape
        TensorShape([2, 28, 28, 16])

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 3.1 and equation 3, https://arxiv.org/abs/1601.06759
    """

    def __init__(self, units, kernel_size=3, num_colors=1, mask_type="B", **kwargs):
        check_odd("kernel_size", kernel_size, type(self).__name__, smallest=3)
        super().__init__(units, kernel_size, num_colors, mask_type, **kwargs)
        self.taps = self.kernel_size

    def call(self, inputs, condition=None):
        gates = self.input_to_state(inputs, condition)
        # To (height, directions, width, batch, 4 * units).
        gates = tf.transpose(gates, (1, 2, 0, 3))[:, None]
        hidden = conv_lstm_scan(
            gates,
            tf.convert_to_tensor(self.recurrent_kernel),
            tf.convert_to_tensor(self.initial_hidden),
            tf.convert_to_tensor(self.initial_cell),
            first_offset=-(self.taps // 2),
            staggered=False,
        )
        return tf.transpose(hidden[:, 0], (2, 0, 1, 3))

    def get_config(self):
        return {**super().get_config(), "kernel_size": self.kernel_size}
