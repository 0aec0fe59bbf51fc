import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import DiagonalBiLSTM, RowLSTM
from keras_genimg.ops import conv_lstm_scan
from keras_genimg.ops.lstm_cell import product


@pytest.mark.parametrize("directions, taps, first", [(2, 2, -1), (1, 5, -2)])
def test_gradients_equal_differences(directions, taps, first):
    """Along a random direction of each input."""
    # Five steps of a line of four cells, for two examples and three units.
    state = (directions, 8, 3)
    shapes = (5, directions, 8, 12), (directions, taps, 3, 12), state, state
    normal = np.random.default_rng(0).normal
    inputs, moves = ([tf.constant(normal(size=s)) for s in shapes] for _ in "ab")
    weights = [normal(size=size) for size in ((5, *state), state, state)]

    def total(*inputs):
        outputs = conv_lstm_scan(*inputs, 2, first)
        pairs = zip(outputs, weights, strict=True)
        return tf.add_n([tf.reduce_sum(output * weight) for output, weight in pairs])

    def total_and_slopes(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = total(*inputs)
        pairs = zip(tape.gradient(value, inputs), moves, strict=True)
        return [value, *(tf.reduce_sum(slope * move) for slope, move in pairs)]

    expected = [total(*inputs)]
    for k, move in enumerate(moves):
        ends = [
            total(*inputs[:k], inputs[k] + size * move, *inputs[k + 1 :])
            for size in (1e-5, -1e-5)
        ]
        expected.append((ends[0] - ends[1]) / 2e-5)
    compiled = tf.function(total_and_slopes, jit_compile=True)
    for run in (total_and_slopes, tf.function(total_and_slopes), compiled):
        np.testing.assert_allclose(run(*inputs), expected, rtol=1e-6)


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


RECOMPUTED = {"recompute": True}
slow = pytest.mark.slow


@pytest.mark.parametrize(
    "make, options, compiled, policy",
    [
        (RowLSTM, RECOMPUTED, False, "mixed_bfloat16"),
        (DiagonalBiLSTM, RECOMPUTED, False, "float32"),
        pytest.param(RowLSTM, RECOMPUTED, True, "float32", marks=slow),
        pytest.param(DiagonalBiLSTM, RECOMPUTED, True, "mixed_bfloat16", marks=slow),
        *((DiagonalBiLSTM, {"num_segments": n}, False, "float32") for n in (1, 2, 7)),
        (DiagonalBiLSTM, {"num_segments": 100}, False, "float32"),
    ],
)
def test_ways_to_compute_change_nothing(make, options, compiled, policy):
    x = np.random.default_rng(0).normal(size=(2, 6, 4, 3)).astype("float32")
    layer, other = make(3, dtype=policy), make(3, dtype=policy, **options)
    layer(x), other(x)
    randomize(layer, seed=1)
    other.set_weights(layer.get_weights())
    run = tf.function(gradients_of) if compiled else gradients_of
    for pair in zip(run(layer, x), run(other, x), strict=True):
        a, b = (np.asarray(each, "float32") for each in pair)
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@slow
def test_keras_exports_a_model_of_such_layers(tmp_path):
    inputs = keras.Input((5, 4, 2))
    model = keras.Model(inputs, RowLSTM(3)(DiagonalBiLSTM(3)(inputs)))
    model.export(tmp_path / "model", verbose=False)
    x = np.random.default_rng(0).normal(size=(3, 5, 4, 2)).astype("float32")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.serve(x), model(x), rtol=1e-5, atol=1e-6)


def test_a_transposed_kernel_changes_no_derivative_of_a_product():
    """Neither the first nor the second ones."""
    generator = np.random.default_rng(0)
    given = [tf.constant(generator.normal(size=size)) for size in ((5, 3), (3, 4))]
    results = []
    for transposed in (True, False):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(given)
            with tf.GradientTape() as inner:
                inner.watch(given)
                turned = tf.transpose(given[1]) if transposed else None
                outputs = product(*given, turned)
                loss = tf.reduce_sum(outputs**3)
            first = inner.gradient(loss, given)
            total = tf.add_n([tf.reduce_sum(each**2) for each in first])
        results.append([outputs, *first, *outer.gradient(total, given)])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
