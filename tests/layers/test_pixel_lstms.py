"""Row LSTM and Diagonal BiLSTM: outputs, fields and bad arguments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.layers import DiagonalBiLSTM, ResidualLSTMBlock, RowLSTM
from tests import reference
from tests.causality import (
    diagonal_bilstm_field,
    past_field,
    random_images,
    randomized,
    row_lstm_field,
)
from tests.layers.correct import assert_equals_and_sees


@pytest.mark.parametrize(
    ("kind", "shape", "units", "kernel_size", "num_colors", "conditions", "mask_type"),
    [
        (kind, *case, mask_type)
        for kind in (RowLSTM, DiagonalBiLSTM)
        for case in [
            ((6, 7, 1), 3, 3, 1, []),
            ((4, 9, 1), 3, 5, 1, [(4, 9, 2)]),
            ((5, 3, 2), 4, 5, 1, [(1, 1, 2)]),
            ((4, 6, 3), 3, 3, 3, [(1, 6, 2)]),
            ((5, 3, 3), 5, 5, 3, [(5, 1, 2)]),
            ((3, 5, 8), 8, 3, 3, []),
            ((3, 4, 5), 10, 3, 3, []),
            ((1, 6, 3), 5, 3, 3, []),
            ((5, 1, 3), 5, 3, 3, []),
        ]
        # Mask "A" hides all of one color from a diagonal.
        for mask_type in ("AB" if kind is RowLSTM or case[3] > 1 else "B")
    ],
)
def test_equals_reference_and_sees_its_whole_field(
    kind, shape, units, kernel_size, num_colors, conditions, mask_type
):
    """Conditions of these shapes are added to the gates."""
    options = {"num_colors": num_colors, "mask_type": mask_type}
    if kind is RowLSTM:
        field = row_lstm_field(*shape[:2], num_colors, mask_type, kernel_size)
        options["kernel_size"] = kernel_size
    elif mask_type == "B":
        field = past_field(*shape[:2], num_colors)
    else:
        field = diagonal_bilstm_field(*shape[:2], num_colors, mask_type)
    shapes = [shape, *conditions]
    layer = randomized(kind(units, **options), *shapes)
    images, *others = (random_images(2, *s, seed=i) for i, s in enumerate(shapes))
    terms = [x.astype("float64") @ np.asarray(layer.condition_kernel) for x in others]
    expected = reference.pixel_lstm(images, layer, *terms)
    assert_equals_and_sees(layer, [images, *others], expected, field)


@pytest.mark.parametrize("layer", ["row", "diagonal"])
@pytest.mark.parametrize(
    ("size", "units", "num_colors"), [((4, 6), 3, 1), ((4, 5), 5, 3), ((3, 4), 8, 3)]
)
def test_residual_block(size, units, num_colors, layer):
    """Equals the reference, and sees the field of its layer."""
    shape = (*size, 2 * units)
    block = randomized(ResidualLSTMBlock(units, layer, num_colors=num_colors), shape)
    images = random_images(3, *shape)
    hidden = reference.pixel_lstm(images, block.lstm)
    weights = block.expand.get_weights()
    expected = images + reference.masked_conv2d(hidden, *weights, "B", num_colors)
    field = past_field(*size, num_colors)
    if layer == "row":
        field = row_lstm_field(*size, num_colors, "B", 3)
    assert_equals_and_sees(block, [images], expected, field)


def test_one_initializer_gives_each_weight_other_values():
    goes_on = keras.initializers.RandomNormal(seed=keras.random.SeedGenerator(0))
    for start in ("random_normal", goes_on):
        layer = DiagonalBiLSTM(2, kernel_initializer=start, state_initializer=start)
        layer.build((None, 4, 5, 3), (None, 1, 1, 3))
        # Of equal sizes, so that they would be equal from one seed.
        kernels = np.ravel(layer.input_kernel), np.ravel(layer.condition_kernel)
        states = np.ravel(layer.initial_hidden), np.ravel(layer.initial_cell)
        for one, other in (kernels, states):
            assert (one != other).all()


def ops_of(num_segments):
    """Return the ops of the layer's graph and its functions, sorted."""
    layer = DiagonalBiLSTM(3, num_segments=num_segments)
    call = tf.function(layer, autograph=False)
    graph = call.get_concrete_function(tf.TensorSpec((2, 6, 4, 3))).graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    return sorted(node.op for node in nodes)


@pytest.mark.slow
def test_a_cpu_has_four_segments_by_default():
    # tests/gpu/test_numerics.py has the number for a GPU.
    with tf.device("CPU"):
        assert ops_of(None) == ops_of(4) != ops_of(1)


def test_the_config_keeps_the_default_number_of_segments():
    layer = DiagonalBiLSTM(3)
    layer(random_images(2, 3, 4, 2))
    assert layer.get_config()["num_segments"] is None
