"""Attention: filters, glimpses and updates."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.layers import ReadAttention, WriteAttention
from keras_genimg.ops.gaussian_filterbank import (
    attention_filters,
    attention_geometry,
    gaussian_filterbank,
    read_patch,
    write_patch,
)
from tests import reference
from tests.causality import random_images, randomized

BATCH = 3


def linear(state, dense):
    kernel, bias = (np.asarray(w, "float64") for w in (dense.kernel, dense.bias))
    return state @ kernel + bias


@pytest.mark.parametrize(
    ("height", "width", "size"), [(28, 28, 2), (28, 28, 5), (6, 9, 3), (9, 6, 1)]
)
def test_new_filters_are_in_the_centers_of_equal_parts(height, width, size):
    """Two filters as far apart as the image is wide would see only its corners."""
    state = np.zeros((1, 4))
    longer = max(height, width)
    parts = (np.arange(size) + 0.5) * longer / size - 0.5
    shift = (width - longer) / 2
    _, read = ReadAttention(size)(np.zeros((1, height, width, 1)), state)
    _, write = WriteAttention(size, (height, width, 1))(state)
    for attention in (read, write):
        x, _, stride, _, _ = np.asarray(attention[0], "float64")
        means = x + (np.arange(size) - (size - 1) / 2) * stride
        np.testing.assert_allclose(means, parts + shift, atol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "channels", "size"),
    [(5, 5, 1, 2), (4, 7, 2, 5), (6, 3, 3, 1), (3, 4, 6, 4)],
)
def test_glimpses_and_updates_equal_reference(height, width, channels, size):
    shape = height, width, channels
    images, state = random_images(BATCH, *shape), random_images(BATCH, 4)
    read = randomized(ReadAttention(size), shape, (4,))
    expected = reference.read_attention(images, linear(state, read.attention), size)
    glimpse, _ = read(images, state)
    np.testing.assert_allclose(glimpse, expected, rtol=1e-3, atol=1e-5)
    write = randomized(WriteAttention(size, shape), (4,))
    patch = linear(state, write.patch).reshape(BATCH, size, size, channels)
    raw = linear(state, write.attention)
    expected = reference.write_attention(patch, raw, height, width)
    np.testing.assert_allclose(write(state)[0], expected, rtol=1e-3, atol=1e-5)


def test_attention_is_in_pixels_from_0():
    read = randomized(ReadAttention(4), (4, 7, 1), (5,))
    write = randomized(WriteAttention(4, (4, 7, 1)), (5,))
    state = np.array([[0.5, -1.0, math.log(4.0), math.log(0.5), math.log(3.0)]])
    for layer in (read, write):  # The raw attention equals the state.
        layer.attention.kernel.assign(np.eye(5))
        layer.attention.bias.assign(np.zeros(5))
    attentions = read(np.zeros((1, 4, 7, 1)), state)[1], write(state)[1]
    for attention in attentions:
        np.testing.assert_allclose(attention, [[5.0, -1.0, 1.0, 2.0, 3.0]], rtol=1e-6)


def test_no_attention():
    images, state = random_images(BATCH, 4, 7, 2), random_images(BATCH, 3)
    read = ReadAttention(None)
    glimpse, attention = read(images, state)
    np.testing.assert_array_equal(glimpse, images)
    assert not read.weights
    expected = [[3.0, 1.5, 1.0, 0.0, 1.0]] * BATCH
    np.testing.assert_array_equal(attention, expected)
    write = randomized(WriteAttention(None, (4, 7, 2)), (3,))
    update, attention = write(state)
    expected_update = linear(state, write.patch).reshape(BATCH, 4, 7, 2)
    np.testing.assert_allclose(update, expected_update, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(attention, expected)
    assert len(write.weights) == 2


def test_filters_are_float32_in_half_precision():
    # At column 200, bfloat16 can represent only every other pixel.
    images = random_images(1, 3, 260, 1)
    images = np.asarray(tf.cast(tf.cast(images, "bfloat16"), "float32"))
    layer = ReadAttention(3, dtype="mixed_bfloat16")
    layer.build((None, 3, 260, 1), (None, 1))
    layer.attention.kernel.assign(np.zeros((1, 5)))
    layer.attention.bias.assign([202 / 130.5 - 1, 0, -20, math.log(2 / 259), 0])
    glimpse, attention = layer(images, np.zeros((1, 1)))
    assert attention.dtype == "float32"
    np.testing.assert_allclose(attention[0, 0], 201, rtol=1e-6)
    np.testing.assert_array_equal(tf.cast(glimpse, "float32"), images[:, :, 200:203])


def test_unrolled_updates_add_up():
    # TensorFlow's graph optimizer breaks some sums of products and biases.
    for size in (2, None):
        layer = randomized(WriteAttention(size, (4, 5, 1)), (3,))
        states = random_images(4, BATCH, 3)

        @tf.function
        def canvas(states, layer=layer):
            total = tf.zeros((BATCH, 4, 5, 1))
            for t in range(4):
                total = total + layer(states[t])[0]
            return total

        expected = sum(np.asarray(layer(state)[0], "float64") for state in states)
        np.testing.assert_allclose(canvas(states), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variance_exponent", [-20.0, -3.0, 0.0, 5.0, 20.0])
def test_far_filters_equal_the_exact_ratio(variance_exponent):
    sigma = np.float32(math.exp(variance_exponent / 2))
    means = [-1e10, -4e3, -0.5, 0.0, 2.5, 3.25, 9.49, 11.0, 11.75, 5e6, 1e10]
    means = np.array(means, "float32")
    filters = gaussian_filterbank(
        tf.constant(means), tf.zeros_like(means), tf.fill(means.shape, sigma), 1, 12
    )
    for mean, found in zip(means, np.asarray(filters[:, 0]), strict=True):
        variance = float(sigma) ** 2
        expected = reference.gaussian_filter(float(mean) + 1, variance, 12)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def huge_raw():
    """Return raw numbers whose exponentials overflow or vanish, and large ones."""
    corners = list(itertools.product([-1e4, -20.0, 0.0, 20.0, 1e4], repeat=5))
    random = 1e4 * np.random.default_rng(0).normal(size=(50, 5))
    single = [row for k in range(5) for row in np.eye(5)[[k, k]] * [[100], [-100]]]
    largest = [[sign * 3e38] * 5 for sign in (-1, 1)]
    return np.concatenate([corners, random, single, largest]).astype("float32")


POLICIES = ["float32", "float64", "bfloat16", "float16", "mixed_float16"]


@pytest.mark.parametrize(
    ("dtype", "size"), [("float32", 1), *((policy, 3) for policy in POLICIES)]
)
@pytest.mark.parametrize("layer", ["read", "write"])
def test_huge_numbers_give_finite_glimpses_and_gradients(layer, dtype, size):
    raw = huge_raw()
    count = len(raw)
    # Each row of the kernel then holds the raw numbers of one image.
    state = tf.eye(count, dtype=keras.dtype_policies.get(dtype).compute_dtype)
    images = tf.constant(random_images(count, 7, 12, 2))
    if layer == "read":
        attend, given = ReadAttention(size, dtype=dtype), [images]
        attend.build(images.shape, state.shape)
    else:
        attend, given = WriteAttention(size, (7, 12, 2), dtype=dtype), []
        attend.build(state.shape)
        attend.patch.bias.assign(np.linspace(-2, 2, 2 * size**2))
    attend.attention.kernel.assign(raw)
    with tf.GradientTape() as tape:
        tape.watch(given)
        outputs, attention = attend(*given, state)
        loss = tf.reduce_sum(tf.cast(outputs, "float32") * images[:, :1, :1])
    sources = [*given, *(w.value for w in attend.trainable_weights)]
    for each in [outputs, attention, *tape.gradient(loss, sources)]:
        assert np.isfinite(np.asarray(each, "float64")).all()
    assert (np.asarray(attention)[:, 2:] > 0).all()


def test_gamma_keeps_its_range_in_half_precision_only():
    raw = np.zeros((1, 5), "float32")
    for log_gamma in (3.5, 9.0):
        raw[0, 4] = log_gamma
        for dtype in ("float32", "float64", "bfloat16", "float16"):
            gamma = attention_geometry(raw, 5, 5, 3, dtype)[0, 4]
            bounded = dtype == "float16" and log_gamma > 4
            expected = 65504 ** (1 / 3) if bounded else math.exp(log_gamma)
            np.testing.assert_allclose(gamma, expected, rtol=1e-5)


def test_gradient_equals_differences():
    raw = random_images(BATCH, 5)
    weights = random_images(BATCH, 3, 6, seed=1)

    def loss(raw):
        attention = attention_geometry(raw, 6, 6, 3)
        filters_y, filters_x = attention_filters(attention, 6, 6, 3)
        gamma = attention[:, 4, None, None]
        return tf.reduce_sum(weights * (filters_y + filters_x * gamma), (1, 2))

    def reference_loss(raw):
        rows, columns, gamma = (
            np.array(each)
            for each in zip(
                *(reference.attention(r, 6, 6, 3) for r in raw), strict=True
            )
        )
        total = rows + columns * gamma[:, None, None]
        return (weights.astype("float64") * total).sum((1, 2))

    variable = tf.constant(raw)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        total = tf.reduce_sum(loss(variable))
    gradient = np.asarray(tape.gradient(total, variable))
    for k, step in enumerate(1e-5 * np.eye(5)):
        raised, lowered = (reference_loss(raw + sign * step) for sign in (1, -1))
        expected = (raised - lowered) / 2e-5
        np.testing.assert_allclose(gradient[:, k], expected, rtol=1e-3, atol=1e-4)


def test_products_are_few_and_small():
    height, width, rows, columns, channels = 28, 20, 12, 5, 2
    filters = tf.TensorSpec((8, rows, height)), tf.TensorSpec((8, columns, width))
    image = tf.TensorSpec((8, height, width, channels))
    patch = tf.TensorSpec((8, rows, columns, channels))
    for function, first in ((read_patch, image), (write_patch, patch)):
        traced = tf.function(function).get_concrete_function(first, *filters)
        kinds = [operation.type for operation in traced.graph.get_operations()]
        assert sum("BatchMatMul" in kind for kind in kinds) == 2
        assert "Einsum" not in kinds
        for operation in traced.graph.get_operations():
            for tensor in operation.outputs:
                assert tensor.shape.rank <= 4
                assert math.prod(tensor.shape) <= 8 * height * width * channels
