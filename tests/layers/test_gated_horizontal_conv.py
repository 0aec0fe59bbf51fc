import numpy as np
import pytest

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import GatedHorizontalConv
from tests.causality import assert_sees_exactly, convolution_field, random_images

# Channels of the vertical stack.
ABOVE = 4


def random_layer(shape, condition_shape=None, **arguments):
    layer = GatedHorizontalConv(**arguments)
    shapes = [
        shape,
        (*shape[:2], ABOVE),
        *([condition_shape] if condition_shape else []),
    ]
    layer.build(*((None, *each) for each in shapes))
    randomize(layer)
    return layer


def group(channel, channels, num_colors):
    return int(np.floor(channel * num_colors / channels))


def may_see(source, target, mask_type):
    return source < target if mask_type == "A" else source <= target


def reference(layer, inputs, vertical, condition=None):
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


CASES = [
    # Height and width, channels of an image, filters, kernel size, colors.
    ((4, 6), 1, 1, 3, 1),
    ((3, 5), 2, 3, 5, 1),
    ((4, 3), 3, 3, 3, 3),
    ((3, 4), 3, 5, 7, 3),
    ((1, 4), 5, 8, 3, 3),
]


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize(("size", "channels", "filters", "width", "colors"), CASES)
def test_equals_reference(size, channels, filters, width, colors, mask_type):
    shape = (*size, channels if mask_type == "A" else filters)
    layer = random_layer(
        shape,
        filters=filters,
        kernel_size=width,
        mask_type=mask_type,
        num_colors=colors,
    )
    images, above = random_images(2, *shape), random_images(2, *size, ABOVE, seed=1)
    expected = reference(layer, images, above)
    np.testing.assert_allclose(layer(images, above), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 5)])
@pytest.mark.parametrize("mask_type", ["A", "B"])
def test_conditions_equal_reference(size, mask_type):
    shape = (4, 5, 3)
    layer = random_layer(shape, (*size, 2), filters=3, mask_type=mask_type)
    images, above = random_images(2, *shape), random_images(2, 4, 5, ABOVE, seed=1)
    condition = random_images(2, *size, 2, seed=2)
    expected = reference(layer, images, above, condition)
    outputs = layer(images, above, condition)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize(("size", "channels", "filters", "width", "colors"), CASES)
def test_sees_its_row_within_the_kernel(
    size, channels, filters, width, colors, mask_type
):
    shape = (*size, channels if mask_type == "A" else filters)
    layer = random_layer(
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
    layer = random_layer((3, 4, 3), (1, 1, 2), filters=3, mask_type="A", num_colors=3)
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
    layer = random_layer((4, 6, 3), filters=3, mask_type=mask_type)
    layer.combine.kernel.assign(np.zeros((1, 1, 3, 3)))
    layer.combine.bias.assign(np.zeros(3))
    images = random_images(2, 4, 6, 3)
    outputs = layer(images, np.ones((2, 4, 6, ABOVE), "float32"))
    expected = images if mask_type == "B" else np.zeros_like(images)
    np.testing.assert_array_equal(outputs, expected)


def test_biases_and_penalties():
    layer = GatedHorizontalConv(
        2, use_bias=False, activation="relu", kernel_regularizer="l2"
    )
    layer.build((None, 4, 5, 2), (None, 4, 5, ABOVE), (None, 1, 1, 3))
    names = [weight.path.split("/", 1)[1] for weight in layer.weights]
    assert names == [
        f"{n}/kernel" for n in ("convolution", "link", "combine", "project")
    ]
    penalty = sum(0.01 * np.square(kernel).sum() for kernel in layer.get_weights())
    np.testing.assert_allclose(sum(layer.losses), penalty, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"filters": 0}, r"filters.*Received.*0"),
        ({"filters": 2, "num_colors": 3}, r"filters.*Received.*2"),
        ({"num_colors": 0}, r"num_colors.*Received.*0"),
        ({"kernel_size": 4}, r"kernel_size.*Received.*4"),
        ({"kernel_size": 1}, r"kernel_size.*Received.*1"),
        ({"mask_type": "C"}, "mask_type.*'C'"),
    ],
)
def test_bad_argument_is_refused(arguments, match):
    with pytest.raises(ValueError, match=f"(?s){match}"):
        GatedHorizontalConv(**({"filters": 4} | arguments))


@pytest.mark.parametrize(
    ("shapes", "match"),
    [
        ([(4, 6), (4, 6, 4)], "rank 3"),
        ([(4, 6, 4), (4, 6, 4)], r"3 channels.*\(2, 4, 6, 4\)"),
        ([(4, 6, 3), (4, 5, 4)], r"`vertical`.*\(2, 4, 5, 4\)"),
        ([(4, 6, 3), (1, 1, 4)], r"`vertical`.*\(2, 1, 1, 4\)"),
        ([(4, 6, 3), (4, 4)], r"`vertical`.*\(2, 4, 4\)"),
        ([(4, 6, 3), (4, 6, 4), (2, 6, 1)], "`condition`.*height or 1"),
    ],
)
def test_bad_input_is_refused(shapes, match):
    with pytest.raises(ValueError, match=match):
        GatedHorizontalConv(3)(*(np.zeros((2, *s), "float32") for s in shapes))


def test_a_condition_without_weights_is_refused():
    images = np.zeros((2, 4, 5, 3), "float32")
    layer = GatedHorizontalConv(3)
    layer(images, images)
    with pytest.raises(ValueError, match="built without `condition`"):
        layer(images, images, images)
