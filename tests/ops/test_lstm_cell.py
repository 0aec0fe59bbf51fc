import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.ops.lstm_cell import lstm_sequences, lstm_step, prepare_lstm


@pytest.mark.parametrize("num_inputs", [3, 4])
def test_fused_kernels_agree_with_plain_operations(num_inputs):
    """Odd inputs get a 0, since the fused kernels warn of them at each call."""
    rng = np.random.default_rng(0)
    units, batch, steps = 5, 3, 4
    kernel = tf.constant(rng.normal(size=(num_inputs + units, 4 * units)), tf.float32)
    bias = tf.constant(rng.normal(size=4 * units), tf.float32)
    fused, plain = (prepare_lstm(kernel, bias, fused) for fused in (True, False))
    assert fused["w"].shape[0] % 2 == (num_inputs + num_inputs % 2 + units) % 2
    x = tf.constant(rng.normal(size=(steps, batch, num_inputs)), tf.float32)
    h, c = (tf.constant(rng.normal(size=(batch, units)), tf.float32) for _ in range(2))
    for one, other in zip(
        lstm_step(fused, x[0], h, c), lstm_step(plain, x[0], h, c), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)
    one, other = (
        lstm_sequences([weights], [x], [h], [c])[0] for weights in (fused, plain)
    )
    np.testing.assert_allclose(one, other, atol=1e-6)
