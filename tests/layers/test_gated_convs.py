"""Layers of the two stacks of the Gated PixelCNN."""

import keras
import numpy as np
import pytest

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import GatedHorizontalConv, GatedVerticalConv, MaskedConv2D
from keras_genimg.models import AutoregressiveModel
from keras_genimg.sampling import incremental_sampler
from tests.causality import (
    assert_sees_exactly,
    convolution_field,
    random_images,
    to_field,
    whole_pixels,
)
from tests.sampling.forced import assert_sampled_as_computed

# Channels of the vertical stack, as an input of the horizontal one.
ABOVE = 4


def random_layer(kind, *shapes, **arguments):
    layer = kind(**arguments)
    layer.build(*((None, *shape) for shape in shapes))
    randomize(layer)
    return layer


def random_horizontal(shape, *condition_shape, **arguments):
    above = (*shape[:2], ABOVE)
    return random_layer(
        GatedHorizontalConv, shape, above, *condition_shape, **arguments
    )


def group(channel, channels, num_colors):
    return int(np.floor(channel * num_colors / channels))


def may_see(source, target, mask_type):
    return source < target if mask_type == "A" else source <= target


def horizontal_reference(layer, inputs, vertical, condition=None):
    """Compute the layer in float64, one pixel and one pair of channels at a time."""
    weights = {w.path.split("/", 1)[1]: np.float64(w.numpy()) for w in layer.weights}
    x, above = np.float64(inputs), np.float64(vertical)
    batch, height, width, channels = x.shape
    units, reach, colors = layer.filters, layer.kernel_size // 2, layer.num_colors
    features = np.zeros((batch, height, width, 2 * units))
    features += weights["convolution/bias"] + above @ weights["link/kernel"]
    if condition is not None:
        features += np.float64(condition) @ weights["project/kernel"]
    kernel = weights["convolution/kernel"][0]
    for c in range(width):
        for source in range(channels):
            for k in range(2 * units):
                for tap in range(-min(reach, c), 0):
                    weight = kernel[reach + tap, source, k]
                    features[:, :, c, k] += x[:, :, c + tap, source] * weight
                own, target = (
                    group(source, channels, colors),
                    group(k % units, units, colors),
                )
                if may_see(own, target, layer.mask_type):
                    weight = kernel[reach, source, k]
                    features[:, :, c, k] += x[:, :, c, source] * weight
    gated = np.tanh(features[..., :units]) / (1 + np.exp(-features[..., units:]))
    outputs = np.zeros((batch, height, width, units)) + weights["combine/bias"]
    for source in range(units):
        for k in range(units):
            if may_see(group(source, units, colors), group(k, units, colors), "B"):
                weight = weights["combine/kernel"][0, 0, source, k]
                outputs[..., k] += gated[..., source] * weight
    return outputs if layer.mask_type == "A" else outputs + x


HORIZONTAL = [
    # Height and width, channels of an image, filters, kernel size, colors.
    ((4, 6), 1, 1, 3, 1),
    ((3, 5), 2, 3, 5, 1),
    ((4, 3), 3, 3, 3, 3),
    ((3, 4), 3, 5, 7, 3),
    ((1, 4), 5, 8, 3, 3),
]


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize(("size", "channels", "filters", "width", "colors"), HORIZONTAL)
def test_horizontal_equals_reference(size, channels, filters, width, colors, mask_type):
    shape = (*size, channels if mask_type == "A" else filters)
    layer = random_horizontal(
        shape,
        filters=filters,
        kernel_size=width,
        mask_type=mask_type,
        num_colors=colors,
    )
    images, above = random_images(2, *shape), random_images(2, *size, ABOVE, seed=1)
    expected = horizontal_reference(layer, images, above)
    np.testing.assert_allclose(layer(images, above), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 5)])
@pytest.mark.parametrize("mask_type", ["A", "B"])
def test_horizontal_conditions_equal_reference(size, mask_type):
    shape = (4, 5, 3)
    layer = random_horizontal(shape, (*size, 2), filters=3, mask_type=mask_type)
    images, above = random_images(2, *shape), random_images(2, 4, 5, ABOVE, seed=1)
    condition = random_images(2, *size, 2, seed=2)
    expected = horizontal_reference(layer, images, above, condition)
    outputs = layer(images, above, condition)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize(("size", "channels", "filters", "width", "colors"), HORIZONTAL)
def test_sees_its_row_within_the_kernel(
    size, channels, filters, width, colors, mask_type
):
    shape = (*size, channels if mask_type == "A" else filters)
    layer = random_horizontal(
        shape,
        filters=filters,
        kernel_size=width,
        mask_type=mask_type,
        num_colors=colors,
    )
    above = random_images(1, *size, ABOVE)[0]

    def outputs(images):
        return layer(images, np.broadcast_to(above, (len(images), *above.shape)))

    field = convolution_field(*size, colors, mask_type, (1, width))
    assert_sees_exactly(outputs, random_images(4, *shape), field)


def test_all_colors_see_the_vertical_stack_and_the_condition():
    layer = random_horizontal(
        (3, 4, 3), (1, 1, 2), filters=3, mask_type="A", num_colors=3
    )
    images = random_images(1, 3, 4, 3)
    above, condition = random_images(1, 3, 4, ABOVE), random_images(1, 1, 1, 2)
    before = np.asarray(layer(images, above, condition))
    changed = above.copy()
    changed[0, 1, 2] += 1
    differs = np.asarray(layer(images, changed, condition)) != before
    assert differs[0, 1, 2].all() and differs.sum() == 3
    assert (np.asarray(layer(images, above, condition + 1)) != before).all()


@pytest.mark.parametrize("mask_type", ["A", "B"])
def test_the_residual_is_added_once_and_not_to_the_image(mask_type):
    layer = random_horizontal((4, 6, 3), filters=3, mask_type=mask_type)
    layer.combine.kernel.assign(np.zeros((1, 1, 3, 3)))
    layer.combine.bias.assign(np.zeros(3))
    images = random_images(2, 4, 6, 3)
    outputs = layer(images, np.ones((2, 4, 6, ABOVE), "float32"))
    expected = images if mask_type == "B" else np.zeros_like(images)
    np.testing.assert_array_equal(outputs, expected)


def vertical_reference(layer, inputs, condition=0.0):
    """Compute the layer in float64, one pixel and one tap at a time."""
    kernel, bias = (np.float64(weight) for weight in layer.get_weights()[:2])
    x = np.float64(inputs)
    if layer.mask_type == "B":
        half = x.shape[-1] // 2
        x = np.tanh(x[..., :half]) / (1 + np.exp(-x[..., half:]))
    if layer.project is not None:
        condition = np.float64(condition) @ np.float64(layer.project.kernel)
    batch, height, width, _ = x.shape
    outputs = np.zeros((batch, height, width, len(bias))) + bias + condition
    reach = layer.kernel_size // 2
    last = 0 if layer.mask_type == "B" else -1
    for r in range(height):
        for c in range(width):
            for up in range(-reach, last + 1):
                for side in range(-reach, reach + 1):
                    if r + up >= 0 and 0 <= c + side < width:
                        tap = kernel[up + reach, side + reach]
                        outputs[:, r, c] += x[:, r + up, c + side] @ tap
    return outputs


VERTICAL = [
    # Shape of the input, filters, kernel size.
    ((4, 6, 2), 1, 3),
    ((5, 3, 4), 3, 5),
    ((1, 4, 2), 2, 3),
    ((3, 1, 6), 2, 7),
]


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize(("shape", "filters", "kernel_size"), VERTICAL)
def test_vertical_equals_reference(shape, filters, kernel_size, mask_type):
    layer = random_layer(
        GatedVerticalConv,
        shape,
        filters=filters,
        kernel_size=kernel_size,
        mask_type=mask_type,
    )
    images = random_images(2, *shape)
    expected = vertical_reference(layer, images)
    assert expected.shape == (2, *shape[:2], 2 * filters)
    np.testing.assert_allclose(layer(images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (4, 1), (4, 5)])
@pytest.mark.parametrize("mask_type", ["A", "B"])
def test_vertical_conditions_equal_reference(size, mask_type):
    shapes = (4, 5, 2), (*size, 3)
    layer = random_layer(GatedVerticalConv, *shapes, filters=2, mask_type=mask_type)
    images, condition = (random_images(2, *shape) for shape in shapes)
    expected = vertical_reference(layer, images, condition)
    np.testing.assert_allclose(layer(images, condition), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize(("shape", "filters", "kernel_size"), VERTICAL[:2])
def test_sees_the_rectangle_above(shape, filters, kernel_size, mask_type):
    layer = random_layer(
        GatedVerticalConv,
        shape,
        filters=filters,
        kernel_size=kernel_size,
        mask_type=mask_type,
    )
    reach = kernel_size // 2
    last = 1 if mask_type == "B" else 0
    reads = {
        (r, c, 0): whole_pixels(
            {
                (row, column)
                for row in range(r - reach, r + last)
                for column in range(c - reach, c + reach + 1)
            },
            1,
        )
        for r, c in np.ndindex(shape[:2])
    }
    field = to_field(*shape[:2], 1, reads)
    assert_sees_exactly(layer, random_images(3, *shape), field)


def test_no_weight_is_masked():
    first = random_layer(
        GatedVerticalConv, (4, 5, 3), filters=2, kernel_size=5, mask_type="A"
    )
    later = random_layer(
        GatedVerticalConv, (4, 5, 4), (1, 1, 3), filters=2, kernel_size=5
    )
    assert [w.shape for w in first.weights] == [(2, 5, 3, 4), (4,)]
    assert [w.shape for w in later.weights] == [(3, 5, 2, 4), (4,), (3, 4)]


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


both = pytest.mark.parametrize("kind", [GatedHorizontalConv, GatedVerticalConv])


@both
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


@both
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"filters": 0}, r"filters.*Received.*0"),
        ({"filters": 1.5}, r"filters.*Received.*1\.5"),
        ({"kernel_size": 4}, r"kernel_size.*Received.*4"),
        ({"kernel_size": 1}, r"kernel_size.*Received.*1"),
        ({"mask_type": "C"}, "mask_type.*'C'"),
    ],
)
def test_bad_argument_is_refused(kind, arguments, match):
    with pytest.raises(ValueError, match=f"(?s){match}"):
        kind(**({"filters": 4} | arguments))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"filters": 2, "num_colors": 3}, r"filters.*Received.*2"),
        ({"filters": 4, "num_colors": 0}, r"num_colors.*Received.*0"),
    ],
)
def test_bad_colors_are_refused(arguments, match):
    with pytest.raises(ValueError, match=f"(?s){match}"):
        GatedHorizontalConv(**arguments)


@pytest.mark.parametrize(
    ("kind", "shapes", "match"),
    [
        (GatedHorizontalConv, [(4, 6), (4, 6, 4)], "rank 3"),
        (GatedHorizontalConv, [(4, 6, 4), (4, 6, 4)], r"3 channels.*\(2, 4, 6, 4\)"),
        (GatedHorizontalConv, [(4, 6, 3), (4, 5, 4)], r"`vertical`.*\(2, 4, 5, 4\)"),
        (GatedHorizontalConv, [(4, 6, 3), (1, 1, 4)], r"`vertical`.*\(2, 1, 1, 4\)"),
        (GatedHorizontalConv, [(4, 6, 3), (4, 4)], r"`vertical`.*\(2, 4, 4\)"),
        (GatedHorizontalConv, [(4, 6, 3), (4, 6, 4), (2, 6, 1)], "`condition`.*or 1"),
        (GatedVerticalConv, [(4, 6, 5)], r"even number.*\(2, 4, 6, 5\)"),
        (GatedVerticalConv, [(4, 6)], "rank 3"),
        (GatedVerticalConv, [(4, 6, 4), (3, 6, 1)], "`condition`.*height or 1"),
    ],
)
def test_bad_input_is_refused(kind, shapes, match):
    with pytest.raises(ValueError, match=match):
        kind(3)(*(np.zeros((2, *shape), "float32") for shape in shapes))


@both
def test_a_condition_without_weights_is_refused(kind):
    images = np.zeros((2, 4, 5, 4), "float32")
    layer, inputs = kind(4), [images] * (1 + (kind is GatedHorizontalConv))
    layer(*inputs)
    with pytest.raises(ValueError, match="built without `condition`"):
        layer(*inputs, images)
