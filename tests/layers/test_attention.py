import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.layers import ReadAttention, WriteAttention
from tests import reference
from tests.causality import random_images, randomized

BATCH = 3


def linear(state, dense):
    kernel, bias = (np.asarray(w, "float64") for w in (dense.kernel, dense.bias))
    return state @ kernel + bias


def state_is_raw(layer):
    """Make the raw attention equal the first five numbers of the state."""
    layer.attention.kernel.assign(np.eye(*layer.attention.kernel.shape))
    layer.attention.bias.assign(np.zeros(5))


CASES = pytest.mark.parametrize(
    ("height", "width", "channels", "size"),
    [(5, 5, 1, 2), (4, 7, 2, 5), (6, 3, 3, 1), (3, 4, 6, 4)],
)


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


@CASES
def test_read_equals_reference(height, width, channels, size):
    shape = height, width, channels
    layer = randomized(ReadAttention(size), shape, (4,))
    images, state = random_images(BATCH, *shape), random_images(BATCH, 4)
    raw = linear(state, layer.attention)
    glimpse, _ = layer(images, state)
    expected = reference.read_attention(images, raw, size)
    np.testing.assert_allclose(glimpse, expected, rtol=1e-3, atol=1e-5)


@CASES
def test_write_equals_reference(height, width, channels, size):
    layer = randomized(WriteAttention(size, (height, width, channels)), (4,))
    state = random_images(BATCH, 4)
    raw, patch = linear(state, layer.attention), linear(state, layer.patch)
    update, _ = layer(state)
    patch = patch.reshape(BATCH, size, size, channels)
    expected = reference.write_attention(patch, raw, height, width)
    np.testing.assert_allclose(update, expected, rtol=1e-3, atol=1e-5)


def test_attention_is_in_pixels_from_0():
    read = randomized(ReadAttention(4), (4, 7, 1), (5,))
    write = randomized(WriteAttention(4, (4, 7, 1)), (5,))
    state = np.array([[0.5, -1.0, math.log(4.0), math.log(0.5), math.log(3.0)]])
    state_is_raw(read), state_is_raw(write)
    attentions = read(np.zeros((1, 4, 7, 1)), state)[1], write(state)[1]
    for attention in attentions:
        np.testing.assert_allclose(attention, [[5.0, -1.0, 1.0, 2.0, 3.0]], rtol=1e-6)


def test_narrow_attention_crops_and_pastes_exactly():
    images = random_images(1, 9, 9, 2)
    # Center at column 6 and row 3; stride 1, where the widest is 8 / 2.
    state = np.array([[7 / 5 - 1, 4 / 5 - 1, -20, math.log(1 / 4), 0]], "float32")
    read = randomized(ReadAttention(3), (9, 9, 2), (5,))
    state_is_raw(read)
    glimpse, _ = read(images, state)
    np.testing.assert_array_equal(glimpse, images[:, 2:5, 5:8])
    write = randomized(WriteAttention(3, (9, 9, 2)), (5,))
    state_is_raw(write)
    update = np.array(write(state)[0])
    patch = np.reshape(write.patch(state), (1, 3, 3, 2))
    np.testing.assert_array_equal(update[:, 2:5, 5:8], patch)
    update[:, 2:5, 5:8] = 0
    assert not update.any()


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


@pytest.mark.parametrize("size", [0, -1, 2.5, "5", True])
def test_bad_size_is_refused(size):
    for make in (ReadAttention, lambda size: WriteAttention(size, (4, 5, 1))):
        with pytest.raises(ValueError, match=f"(?s)`size`.*Received.*{size!r}"):
            make(size)


def test_size_above_the_image_is_refused():
    match = r"(?s)`size`.*at most 6.*Received: size=7"
    with pytest.raises(ValueError, match=match):
        ReadAttention(7)(np.zeros((2, 4, 6, 1)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=match):
        WriteAttention(7, (4, 6, 1))
    ReadAttention(6)(np.zeros((2, 4, 6, 1)), np.zeros((2, 3)))
    WriteAttention(6, (4, 6, 1))(np.zeros((2, 3)))


@pytest.mark.parametrize("size", [2, None])
def test_bad_inputs_are_refused(size):
    state = np.zeros((2, 3))
    layer = ReadAttention(size)
    with pytest.raises(ValueError, match=r"(?s)rank 3: shape=\(2, 4, 6\)"):
        layer(np.zeros((2, 4, 6)), state)
    layer(np.zeros((2, 4, 6, 1)), state)
    with pytest.raises(ValueError, match=r"(?s)state of shape.*\(2, 4, 3\)"):
        layer(np.zeros((2, 4, 6, 1)), np.zeros((2, 4, 3)))
    with pytest.raises(ValueError, match=r"(?s)state of shape.*\(2, 4, 3\)"):
        WriteAttention(size, (4, 6, 1))(np.zeros((2, 4, 3)))
    for shape in [(None, 6, 1), (4, None, 1), (4, 6, None)]:
        with pytest.raises(ValueError, match=r"(?s)needs to know height.*None"):
            ReadAttention(size)(keras.Input(shape), keras.Input((3,)))


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 0), (4, None, 1), (4, 6, 1, 1)])
def test_bad_image_shape_is_refused(shape):
    with pytest.raises(ValueError, match="(?s)WriteAttention.*Received"):
        WriteAttention(2, shape)
