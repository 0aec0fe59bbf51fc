"""Diagonal BiLSTM."""

import keras
import tensorflow as tf
from keras import ops

from keras_genimg.layers.pixel_lstm import PixelLSTM
from keras_genimg.ops.conv_lstm_scan import conv_lstm_scan
from keras_genimg.ops.skew import skew, unskew


@keras.saving.register_keras_serializable(package="keras_genimg")
class DiagonalBiLSTM(PixelLSTM):
    """LSTM that processes an image along its diagonals, from both upper corners.

    For the direction from the upper left corner, with `hidden` and `cell` zero above
    the image and learned initial states left of it:

        [o, f, i, g] = K1 hidden[r - 1, j] + K2 hidden[r, j - 1] + Kis inputs[r, j] + b
        cell[r, j] = sigmoid(f) * cell[r, j - 1] + sigmoid(i) * tanh(g)
        hidden[r, j] = sigmoid(o) * tanh(cell[r, j])

    The other direction does the same on the mirrored image, with weights of its own;
    its map is mirrored back, shifted down by one row so that it cannot see the future,
    and added. Together they see every pixel of the past.

    Args:
        units: Number of output channels, at least `num_colors`.
        num_colors: Number of colours that the channels are split into, 1 for grey
            images and 3 for RGB.
        mask_type: Mask of the 1×1 input-to-state kernel. `"A"` hides each sub-pixel
            from all positions, not only its own, so it suits no grey image and never
            sees the last colour; let a `MaskedConv2D` with mask `"A"` read the image.
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
        >>> DiagonalBiLSTM(16)(np.zeros((2, 28, 28, 32))).shape
        TensorShape([2, 28, 28, 16])

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 3.2, https://arxiv.org/abs/1601.06759
    """

    directions = 2
    taps = 2

    def __init__(self, units, num_colors=1, mask_type="B", **kwargs):
        if mask_type == "A" and num_colors == 1:
            raise ValueError(
                "DiagonalBiLSTM reads its input through a 1×1 kernel, all of which "
                "mask 'A' hides when there is one colour. Use mask_type='B' after a "
                "MaskedConv2D with mask 'A'. Received: mask_type='A', num_colors=1"
            )
        super().__init__(units, 1, num_colors, mask_type, **kwargs)

    def call(self, inputs, condition=None):
        batch, height, width, _ = ops.shape(inputs)
        gates = self.input_to_state(inputs, condition)
        gates = tf.reshape(gates, (batch, height, width, 2, 4 * self.units))
        # (height, width, directions, batch, 4 * units), the second map mirrored.
        gates = tf.transpose(gates, (1, 2, 3, 0, 4))
        gates = tf.stack([gates[:, :, 0], tf.reverse(gates[:, :, 1], [1])], axis=2)
        hidden = conv_lstm_scan(
            tf.transpose(skew(gates), (0, 2, 1, 3, 4)),
            tf.convert_to_tensor(self.recurrent_kernel),
            tf.convert_to_tensor(self.initial_hidden),
            tf.convert_to_tensor(self.initial_cell),
            first_offset=-1,
            staggered=True,
        )
        hidden = unskew(tf.transpose(hidden, (0, 2, 1, 3, 4)), width)
        left, right = hidden[:, :, 0], tf.reverse(hidden[:, :, 1], [1])
        # The row above is past for every column; the row itself is not.
        right = tf.pad(right, [[1, 0], [0, 0], [0, 0], [0, 0]])[:-1]
        return tf.transpose(left + right, (2, 0, 1, 3))
