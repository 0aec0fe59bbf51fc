import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import DiagonalBiLSTM, RowLSTM
from keras_genimg.ops import conv_lstm_scan


def plain_scan(inputs, kernel, hidden, cell, cell_size, first_offset):
    """Compute `conv_lstm_scan` in a Python loop with automatic gradients."""
    line = hidden.shape[1] // cell_size
    states = []
    for t in range(inputs.shape[0]):
        summed = inputs[t]
        for tap in range(kernel.shape[1]):
            offset = first_offset + tap
            cells = [
                hidden[:, (p + offset) * cell_size : (p + offset + 1) * cell_size]
                if 0 <= p + offset < line
                else tf.zeros_like(hidden[:, :cell_size])
                for p in range(line)
            ]
            summed += tf.concat(cells, axis=1) @ kernel[:, tap]
        o, f, i, g = tf.split(summed, 4, axis=-1)
        cell = tf.sigmoid(f) * cell + tf.sigmoid(i) * tf.tanh(g)
        hidden = tf.sigmoid(o) * tf.tanh(cell)
        states.append(hidden)
    return tf.stack(states), hidden, cell


@pytest.mark.parametrize("directions, taps, first", [(2, 2, -1), (1, 5, -2)])
def test_equals_a_plain_loop_and_its_gradients(directions, taps, first):
    # Five steps of a line of four cells, for two examples and three units.
    state = (directions, 8, 3)
    shapes = (5, directions, 8, 12), (directions, taps, 3, 12), state, state
    generator = np.random.default_rng(0)
    inputs = [tf.constant(generator.normal(size=s), tf.float32) for s in shapes]
    weights = [
        tf.constant(generator.normal(size=output.shape), tf.float32)
        for output in plain_scan(*inputs, 2, first)
    ]

    def gradients(scan, *inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = scan(*inputs, 2, first)
            total = sum(
                tf.reduce_sum(output * weight)
                for output, weight in zip(outputs, weights, strict=True)
            )
        return [*outputs, *tape.gradient(total, inputs)]

    expected = gradients(plain_scan, *inputs)
    ours = functools.partial(gradients, conv_lstm_scan)
    for run in (ours, tf.function(ours), tf.function(ours, jit_compile=True)):
        for a, e in zip(run(*inputs), expected, strict=True):
            scale = np.abs(e).max()
            np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-5 * scale)


LAYERS = {"row": RowLSTM, "diagonal": DiagonalBiLSTM}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_second_derivatives_are_refused(make):
    layer = make(3)
    x = tf.ones((2, 4, 5, 3))
    layer(x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            total = tf.reduce_sum(layer(x))
        first = inner.gradient(total, x)
    with pytest.raises(ValueError, match="no second derivatives.*stop_gradient"):
        outer.gradient(first, x)


def gradients_of(layer, x):
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x)
        total = tf.reduce_sum(tf.sin(outputs))
    variables = [variable.value for variable in layer.trainable_variables]
    return [outputs, *tape.gradient(total, [x, *variables])]


@pytest.mark.parametrize(
    "make, compiled, policy",
    [
        (RowLSTM, False, "mixed_bfloat16"),
        (DiagonalBiLSTM, False, "float32"),
        pytest.param(RowLSTM, True, "float32", marks=pytest.mark.slow),
        pytest.param(
            functools.partial(DiagonalBiLSTM, num_segments=1),
            True,
            "mixed_bfloat16",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_recompute_changes_nothing(make, compiled, policy):
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype("float32")
    layer, again = (make(4, recompute=each, dtype=policy) for each in (False, True))
    layer(x), again(x)
    again.set_weights(layer.get_weights())
    run = tf.function(gradients_of) if compiled else gradients_of
    for pair in zip(run(layer, x), run(again, x), strict=True):
        a, b = (np.asarray(each, "float32") for each in pair)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_segments", [1, 2, 7, 100])
def test_segments_change_nothing(num_segments):
    x = np.random.default_rng(0).normal(size=(2, 6, 4, 3)).astype("float32")
    expected, layer = DiagonalBiLSTM(3), DiagonalBiLSTM(3, num_segments=num_segments)
    expected(x), layer(x)
    randomize(expected, seed=1)
    layer.set_weights(expected.get_weights())
    for a, b in zip(gradients_of(layer, x), gradients_of(expected, x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_keras_exports_a_model_of_such_layers(tmp_path):
    inputs = keras.Input((5, 4, 2))
    model = keras.Model(inputs, RowLSTM(3)(DiagonalBiLSTM(3)(inputs)))
    model.export(tmp_path / "model", verbose=False)
    x = np.random.default_rng(0).normal(size=(3, 5, 4, 2)).astype("float32")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.serve(x), model(x), rtol=1e-5, atol=1e-6)
