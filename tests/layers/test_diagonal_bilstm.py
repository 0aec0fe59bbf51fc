import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import DiagonalBiLSTM
from tests import reference
from tests.causality import (
    assert_sees_exactly,
    diagonal_bilstm_field,
    influence,
    past_field,
    random_images,
)


def random_layer(shape, *args, **kwargs):
    layer = DiagonalBiLSTM(*args, **kwargs)
    layer.build((None, *shape))
    randomize(layer)
    return layer


def reference_outputs(layer, images, mask_type, num_colors, condition_term=None):
    return reference.diagonal_bilstm(
        images,
        np.asarray(layer.input_kernel),
        np.asarray(layer.recurrent_kernel),
        np.asarray(layer.bias),
        np.asarray(layer.initial_hidden),
        np.asarray(layer.initial_cell),
        mask_type,
        num_colors,
        condition_term,
    )


def test_weight_shapes():
    layer = random_layer((4, 6, 3), 5, num_colors=3)
    assert layer.input_kernel.shape == (1, 1, 3, 40)
    assert layer.recurrent_kernel.shape == (2, 2, 5, 20)
    assert layer.bias.shape == (40,)
    assert layer.initial_hidden.shape == (2, 5)
    assert layer.initial_cell.shape == (2, 5)
    assert len(layer.trainable_weights) == len(layer.weights) == 5


def with_masks(*cases):
    """Add mask "B" to each case, and mask "A" to cases with several colors."""
    return pytest.mark.parametrize(
        ("shape", "units", "num_colors", "mask_type"),
        [
            (*case, mask_type)
            for case in cases
            for mask_type in ("AB" if case[-1] > 1 else "B")
        ],
    )


@with_masks(
    ((4, 6, 1), 3, 1),
    ((5, 3, 2), 4, 1),
    ((4, 6, 3), 3, 3),
    ((5, 3, 3), 5, 3),
    ((4, 6, 8), 8, 3),
    ((5, 3, 5), 10, 3),
    ((1, 6, 3), 5, 3),
    ((5, 1, 3), 5, 3),
)
def test_equals_reference(shape, units, num_colors, mask_type):
    layer = random_layer(shape, units, num_colors=num_colors, mask_type=mask_type)
    images = random_images(2, *shape)
    expected = reference_outputs(layer, images, mask_type, num_colors)
    outputs = np.asarray(layer(images))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("condition_size", [(4, 5), (1, 1), (1, 5), (4, 1)])
def test_condition_is_added_to_the_gates(condition_size):
    layer = DiagonalBiLSTM(5, num_colors=3)
    images = random_images(2, 4, 5, 3)
    condition = random_images(2, *condition_size, 3, seed=2)
    layer(images, condition)
    randomize(layer)
    assert layer.condition_kernel.shape == (3, 40)
    term = condition.astype("float64") @ np.asarray(layer.condition_kernel)
    term = np.broadcast_to(term, (2, 4, 5, 40))
    expected = reference_outputs(layer, images, "B", 3, term)
    outputs = np.asarray(layer(images, condition))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


def test_one_layer_sees_the_full_past_of_8x8():
    layer = random_layer((8, 8, 1), 4)
    seen = influence(layer, random_images(3, 8, 8, 1)).any(axis=(2, 5))
    order = seen.reshape(64, 64)  # (perturbed pixel, changed pixel)
    past, future = np.triu(order, 1), np.tril(order, -1)
    assert past.sum() == 2016
    assert future.sum() == 0
    assert np.all(np.diag(order))


@with_masks(
    ((8, 8, 1), 4, 1),
    ((4, 6, 1), 3, 1),
    ((5, 3, 2), 3, 1),
    ((4, 6, 3), 3, 3),
    ((5, 3, 3), 5, 3),
    ((4, 6, 3), 10, 3),
    ((3, 5, 8), 8, 3),
)
def test_sees_its_whole_field(shape, units, num_colors, mask_type):
    layer = random_layer(shape, units, num_colors=num_colors, mask_type=mask_type)
    field = diagonal_bilstm_field(*shape[:2], num_colors, mask_type)
    assert_sees_exactly(layer, random_images(3, *shape), field)


@pytest.mark.parametrize("num_colors", [1, 3])
def test_field_of_mask_b_is_the_whole_past(num_colors):
    np.testing.assert_array_equal(
        diagonal_bilstm_field(4, 5, num_colors, "B"), past_field(4, 5, num_colors)
    )


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"mask_type": "C"}, "mask_type.*'C'"),
        ({"units": 0}, r"units.*Received.*0"),
        ({"units": -1}, r"units.*Received.*-1"),
        ({"units": 2, "num_colors": 3}, r"units.*Received.*2"),
        ({"num_colors": 0}, r"num_colors.*Received.*0"),
        ({"mask_type": "A"}, r"Use mask_type='B'.*Received: mask_type='A'"),
        ({"num_segments": 0}, r"num_segments.*Received: num_segments=0"),
    ],
)
def test_bad_argument_is_refused(arguments, match):
    with pytest.raises(ValueError, match=f"(?s){match}"):
        DiagonalBiLSTM(**({"units": 4} | arguments))


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((4, 6, 3), r"(rank |ndim=)3"),
        ((2, 4, 6, 2), r"channels.*2.*num_colors=3"),
    ],
)
def test_bad_input_is_refused(shape, match):
    layer = DiagonalBiLSTM(6, num_colors=3)
    with pytest.raises(ValueError, match=f"(?s){match}"):
        layer(np.zeros(shape, "float32"))


def test_a_condition_that_does_not_fit_is_refused():
    images = np.zeros((2, 4, 5, 3), "float32")
    with pytest.raises(
        ValueError, match=r"height or 1.*Received: shape=\(2, 3, 5, 2\)"
    ):
        DiagonalBiLSTM(4)(images, images[:, 1:, :, 1:])
    layer = DiagonalBiLSTM(4)
    layer(images)
    with pytest.raises(ValueError, match="built without `condition`"):
        layer(images, images)


def ops_of(num_segments):
    """Return the ops of the layer's graph, in order."""
    layer = DiagonalBiLSTM(3, num_segments=num_segments)
    call = tf.function(layer, autograph=False)
    graph = call.get_concrete_function(tf.TensorSpec((2, 6, 4, 3))).graph
    return [operation.type for operation in graph.get_operations()]


def test_a_cpu_has_four_segments_by_default():
    # tests/gpu/test_numerics.py has the number for a GPU.
    with tf.device("CPU"):
        assert ops_of(None) == ops_of(4) != ops_of(1)


@pytest.mark.parametrize("num_segments", [None, 4])
def test_files_keep_the_number_of_segments(num_segments, tmp_path):
    inputs = keras.Input((3, 4, 2))
    layer = DiagonalBiLSTM(3, num_segments=num_segments)
    model = keras.Model(inputs, layer(inputs))
    assert json.loads(json.dumps(layer.get_config()))["num_segments"] == num_segments
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].num_segments == num_segments
    images = random_images(2, 3, 4, 2)
    np.testing.assert_array_equal(loaded(images), model(images))
