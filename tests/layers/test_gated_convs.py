"""Layers of the two stacks of the Gated PixelCNN."""

import keras
import numpy as np
import pytest

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import GatedHorizontalConv, GatedVerticalConv, MaskedConv2D
from keras_genimg.models import AutoregressiveModel
from keras_genimg.sampling import incremental_sampler
from tests import reference
from tests.causality import convolution_field, random_images, randomized, to_field
from tests.layers.correct import assert_equals_and_sees
from tests.sampling.forced import assert_sampled_as_computed

# Channels of the vertical stack, as an input of the horizontal one.
ABOVE = 4
masks = pytest.mark.parametrize("mask_type", ["A", "B"])


def gate(x):
    signal, gates = np.split(x, 2, axis=-1)
    return np.tanh(signal) * reference.logistic(gates)


def horizontal_reference(layer, inputs, vertical, condition=0.0):
    """Compute the layer in float64."""
    weights = {w.path.split("/", 1)[1]: np.float64(w.numpy()) for w in layer.weights}
    if layer.project is not None:
        condition = np.float64(condition) @ weights["project/kernel"]
    kernel, bias = weights["convolution/kernel"], weights["convolution/bias"]
    masked = layer.mask_type, layer.num_colors
    features = reference.masked_conv2d(inputs, kernel, bias, *masked, maps=2)
    features += np.float64(vertical) @ weights["link/kernel"] + condition
    kernel, bias = weights["combine/kernel"], weights["combine/bias"]
    outputs = reference.masked_conv2d(gate(features), kernel, bias, "B", masked[1])
    return outputs if layer.mask_type == "A" else outputs + inputs


def vertical_reference(layer, inputs, condition=0.0):
    """Compute the layer in float64, one pixel at a time."""
    kernel, bias = (np.float64(weight) for weight in layer.get_weights()[:2])
    if layer.project is not None:
        condition = np.float64(condition) @ np.float64(layer.project.kernel)
    x = np.float64(inputs)
    x = gate(x) if layer.mask_type == "B" else x
    # With zeros for the rows that it does not see, the kernel has its pixel inside.
    full = np.zeros((layer.kernel_size, *kernel.shape[1:]))
    full[: len(kernel)] = kernel
    return reference.convolve(x, full) + bias + condition


@masks
@pytest.mark.parametrize(
    # Size, channels of an image, filters, kernel size, colors, shapes of conditions.
    ("size", "channels", "filters", "width", "colors", "conditions"),
    [
        ((4, 6), 1, 1, 3, 1, [(4, 6, 3)]),
        ((3, 5), 2, 3, 5, 1, [(3, 1, 3)]),
        ((4, 3), 3, 3, 3, 3, [(1, 1, 3)]),
        ((3, 4), 3, 5, 7, 3, [(1, 4, 3)]),
        ((1, 4), 5, 8, 3, 3, []),
    ],
)
def test_horizontal(size, channels, filters, width, colors, conditions, mask_type):
    """Equals the reference, and sees its row within the kernel."""
    shape = (*size, channels if mask_type == "A" else filters)
    shapes = [shape, (*size, ABOVE), *conditions]
    layer = GatedHorizontalConv(filters, width, mask_type, colors)
    randomized(layer, *shapes)
    inputs = [random_images(4, *shape, seed=i) for i, shape in enumerate(shapes)]
    field = convolution_field(*size, colors, mask_type, (1, width))
    expected = horizontal_reference(layer, *inputs)
    assert_equals_and_sees(layer, inputs, expected, field)


@masks
@pytest.mark.parametrize(
    ("shape", "filters", "kernel_size", "conditions"),
    [
        ((4, 6, 2), 1, 3, [(4, 6, 3)]),
        ((5, 3, 4), 3, 5, [(1, 3, 3)]),
        ((1, 4, 2), 2, 3, [(1, 1, 3)]),
        ((3, 1, 6), 2, 7, []),
    ],
)
def test_vertical(shape, filters, kernel_size, conditions, mask_type):
    """Equals the reference, and sees the rectangle above."""
    shapes = [shape, *conditions]
    layer = randomized(GatedVerticalConv(filters, kernel_size, mask_type), *shapes)
    inputs = [random_images(3, *shape, seed=i) for i, shape in enumerate(shapes)]
    expected = vertical_reference(layer, *inputs)
    assert expected.shape == (3, *shape[:2], 2 * filters)
    reach = kernel_size // 2
    reads = {
        (r, c, 0): {
            (row, column, 0)
            for row in range(r - reach, r + (mask_type == "B"))
            for column in range(c - reach, c + reach + 1)
        }
        for r, c in np.ndindex(shape[:2])
    }
    field = to_field(*shape[:2], 1, reads)
    assert_equals_and_sees(layer, inputs, expected, field)


def test_one_initializer_gives_each_kernel_other_values():
    # Kernels of the same shape, whose values would be equal from one initializer.
    layer = GatedVerticalConv(3, kernel_initializer=keras.initializers.GlorotNormal())
    first, second = layer.weight_arguments(), layer.weight_arguments()
    values = [each["kernel_initializer"]((3, 3)) for each in (first, second)]
    assert (np.asarray(values[0]) != np.asarray(values[1])).all()


def wired_by_hand(first):
    """Return a model of vertical layers, which sees only the rows above."""
    images = keras.Input((4, 5, 1))
    x = first(images)
    x = GatedVerticalConv(3)(keras.layers.Concatenate()([x, x]))
    x = GatedVerticalConv(2)(keras.layers.ReLU()(x))
    logits = MaskedConv2D(1, 1, "B", dtype="float32")(x)
    model = AutoregressiveModel(images, logits, "bernoulli")
    randomize(model)
    return model


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_stack_wired_by_hand_is_sampled(policy):
    keras.mixed_precision.set_global_policy(policy)
    assert_sampled_as_computed(wired_by_hand(GatedVerticalConv(2, 3, "A")))


@pytest.mark.parametrize(
    "first", [keras.layers.Identity(), MaskedConv2D(1, 3, "A")], ids=["image", "masked"]
)
def test_whole_rows_of_unfinished_rows_are_refused(first):
    model = wired_by_hand(first)
    text = "'convolution' sees pixels to its right, so its input must depend only on"
    with pytest.raises(ValueError, match=text):
        incremental_sampler(model)(np.zeros((1, 4, 5, 1), "float32"), 1.0, [])
    with pytest.raises(ValueError, match="which is drawn earlier"):
        model.generate(1, method="fixed_point")


@pytest.mark.parametrize("kind", [GatedHorizontalConv, GatedVerticalConv])
def test_arguments_reach_the_kernels(kind):
    above = [(None, 4, 5, ABOVE)] * (kind is GatedHorizontalConv)
    options = {"use_bias": False, "activation": "relu", "kernel_regularizer": "l2"}
    layer = kind(2, **options)
    layer.build((None, 4, 5, 2), *above, (None, 1, 1, 3))
    names = ["convolution", *["link", "combine"] * len(above), "project"]
    paths = [weight.path.split("/", 1)[1] for weight in layer.weights]
    assert paths == [f"{name}/kernel" for name in names]
    penalty = sum(0.01 * np.square(kernel).sum() for kernel in layer.get_weights())
    np.testing.assert_allclose(sum(layer.losses), penalty, rtol=1e-5)
    if kind is GatedVerticalConv:  # The ReLU's half of the gate is 0.
        negative, zeros = -np.ones((1, 4, 5, 2)), np.zeros((1, 1, 1, 3))
        assert not np.any(layer(negative, zeros))
    fresh = kind(2, kernel_initializer="ones", bias_initializer="ones")
    fresh.build((None, 4, 5, 2), *above)
    assert all((weight == 1).all() for weight in fresh.get_weights())
