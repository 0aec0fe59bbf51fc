"""Steps and sequences of LSTMs whose input is a vector."""

import tensorflow as tf

from keras_genimg.ops.convolution import pointwise_product
from keras_genimg.ops.graphs import custom_gradient


def prepare_lstm(kernel, bias, fused):
    """Prepare weights for `lstm_step` and `lstm_sequences`.

    TensorFlow's fused kernels compute a step in one operation instead of a dozen. The
    overhead of these operations is most of the time of a small step. Fused kernels
    exist for float32 and half precision, but not under XLA, which fuses the plain
    operations itself.

    Args:
        kernel: Rows for the input, then for the hidden state, `(inputs + units,
            4 * units)`, with the gates o, f, i, g on the last axis.
        bias: Bias of the gates, `(4 * units,)`.
        fused: Whether to use TensorFlow's fused kernels if the dtype has them.

    Returns:
        A dict: `"kernel"` and `"bias"`, or the arguments of a fused kernel.
    """
    if not fused or kernel.dtype not in (tf.float32, tf.float16):
        return {"kernel": kernel, "bias": bias}

    def reordered(tensor):
        o, f, i, g = tf.split(tensor, 4, axis=-1)
        return tf.concat([i, g, f, o], axis=-1)

    w = reordered(kernel)
    units = kernel.shape[1] // 4
    num_inputs = kernel.shape[0] - units
    if num_inputs % 2:  # See `_even`.
        w = tf.concat([w[:num_inputs], tf.zeros_like(w[:1]), w[num_inputs:]], axis=0)
    b = reordered(bias)
    # The cell does not read this tensor, so its values do not matter. A constant would
    # be equal in all layers, and in TensorFlow 2.21, a stack of equal tensors in one
    # branch of a condition breaks the graph.
    none = b[:units]
    return {
        **{"w": w, "b": b, "wci": none, "wcf": none, "wco": none},
        "forget_bias": 0.0,  # The bias has it, as in every Keras layer.
        "cell_clip": -1.0,
        "use_peephole": False,
    }


def lstm_step(weights, inputs, hidden, cell):
    """Return the next hidden and cell state.

    Args:
        weights: Result of `prepare_lstm`. Unfused weights may also contain the
            transposed kernel, `"transposed"`, which speeds up the gradient.
        inputs: `(batch, inputs)`.
        hidden: `(batch, units)`.
        cell: `(batch, units)`.
    """
    if "w" in weights:
        outputs = tf.raw_ops.LSTMBlockCell(
            x=_even(inputs), cs_prev=cell, h_prev=hidden, **weights
        )
        return outputs.h, outputs.cs
    both = tf.concat([inputs, hidden], axis=-1)
    summed = product(both, weights["kernel"], weights.get("transposed"))
    return _gates(summed + weights["bias"], cell)


def lstm_sequences(weights, inputs, hidden, cell):
    """Return the hidden states of several LSTMs, each over its own sequence.

    Without fused kernels, all LSTMs run in one loop to share its overhead.

    Args:
        weights: List of results of `prepare_lstm`.
        inputs: List of `(steps, batch, inputs)`, with the same number of steps.
        hidden: List of hidden states before the first step, `(batch, units)`.
        cell: List of cell states before the first step, `(batch, units)`.

    Returns:
        List of `(steps, batch, units)`.
    """
    steps = tf.shape(inputs[0])[0]
    if "w" in weights[0]:
        return [
            tf.raw_ops.BlockLSTM(
                seq_len_max=tf.cast(steps, tf.int64),
                x=_even(x),
                cs_prev=c,
                h_prev=h,
                **w,
            ).h
            for w, x, h, c in zip(weights, inputs, hidden, cell, strict=True)
        ]
    sizes = [x.shape[-1] for x in inputs]
    summed = [
        pointwise_product(x, w["kernel"][:size]) + w["bias"]
        for w, x, size in zip(weights, inputs, sizes, strict=True)
    ]
    recurrent = [w["kernel"][size:] for w, size in zip(weights, sizes, strict=True)]

    def step(t, states, outputs):
        states = [
            _gates(total[t] + tf.matmul(h, kernel), c)
            for total, kernel, (h, c) in zip(summed, recurrent, states, strict=True)
        ]
        outputs = [
            output.write(t, h) for output, (h, _) in zip(outputs, states, strict=True)
        ]
        return t + 1, states, outputs

    outputs = [
        tf.TensorArray(h.dtype, size=steps, element_shape=h.shape) for h in hidden
    ]
    states = list(zip(hidden, cell, strict=True))
    *_, outputs = tf.while_loop(
        lambda t, *_: t < steps,
        step,
        (tf.constant(0), states, outputs),
        maximum_iterations=steps,
    )
    return [output.stack() for output in outputs]


def _even(inputs):
    """Append a 0 to odd inputs, which slow the fused kernels and make them warn."""
    if inputs.shape[-1] % 2 == 0:
        return inputs
    return tf.concat([inputs, tf.zeros_like(inputs[..., :1])], axis=-1)


def _gates(summed, cell):
    o, f, i, g = tf.split(summed, 4, axis=-1)
    cell = tf.sigmoid(f) * cell + tf.sigmoid(i) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(cell), cell


def product(inputs, kernel, transposed=None):
    """Return `inputs @ kernel`.

    The gradient of the inputs needs the transposed kernel. A loop would transpose it at
    each step, which on CPUs takes twice the time of the product itself.

    Args:
        inputs: `(batch, inputs)`.
        kernel: `(inputs, outputs)`.
        transposed: `tf.transpose(kernel)`, made outside the loop, or None.
    """
    if transposed is None:
        return tf.matmul(inputs, kernel)

    @custom_gradient
    def multiply(inputs, kernel, transposed):
        def gradient(d_outputs):
            d_kernel = tf.matmul(inputs, d_outputs, transpose_a=True)
            return tf.matmul(d_outputs, transposed), d_kernel, None

        return [tf.matmul(inputs, kernel)], gradient

    return multiply(inputs, kernel, transposed)[0]
