"""One step of an LSTM, used inside other layers."""

import keras
import tensorflow as tf

from keras_genimg.ops.lstm_cell import lstm_step


class LSTMStep(keras.layers.Layer):
    """One LSTM step, with all weights in one matrix.

    Args:
        units: Length of the hidden state.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, inputs)`.
        hidden: `(batch, units)`.
        cell: `(batch, units)`.
        transposed: Result of `transposed_kernel`, computed outside the loop for faster
            gradients, or None.

    Returns:
        The next hidden and cell state.

    References:
        Gregor et al., DRAW, 2015, section 2.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, inputs_shape, hidden_shape=None, cell_shape=None):
        units, num_inputs = self.units, inputs_shape[-1]
        # Rows for the input, then for the hidden state; gates o, f, i, g.
        self.kernel = self.add_weight(
            (num_inputs + units, 4 * units), "glorot_uniform", name="kernel"
        )
        self.bias = self.add_weight(
            (4 * units,),
            # Open the forget gates at the start of training.
            lambda shape, dtype: tf.repeat(
                tf.constant([0, 1, 0, 0], dtype), self.units
            ),
            name="bias",
        )

    def transposed_kernel(self):
        """Return the transposed kernel, `(4 * units, inputs + units)`."""
        return tf.transpose(tf.cast(self.kernel, self.compute_dtype))

    def call(self, inputs, hidden, cell, transposed=None):
        weights = {
            "kernel": tf.convert_to_tensor(self.kernel),
            "bias": tf.convert_to_tensor(self.bias),
            "transposed": transposed,
        }
        return lstm_step(weights, inputs, hidden, cell)
