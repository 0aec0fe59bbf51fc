import keras
import numpy as np
import pytest

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import GatedVerticalConv, MaskedConv2D
from keras_genimg.models import AutoregressiveModel
from keras_genimg.sampling import incremental_sampler
from tests.causality import assert_sees_exactly, random_images, to_field, whole_pixels
from tests.sampling.forced import assert_sampled_as_computed


def random_layer(*shapes, **arguments):
    layer = GatedVerticalConv(**arguments)
    layer.build(*((None, *shape) for shape in shapes))
    randomize(layer)
    return layer


def reference(layer, inputs, condition=0.0):
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


CASES = [
    # Shape of the input, filters, kernel size.
    ((4, 6, 2), 1, 3),
    ((5, 3, 4), 3, 5),
    ((1, 4, 2), 2, 3),
    ((3, 1, 6), 2, 7),
]


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize(("shape", "filters", "kernel_size"), CASES)
def test_equals_reference(shape, filters, kernel_size, mask_type):
    layer = random_layer(
        shape, filters=filters, kernel_size=kernel_size, mask_type=mask_type
    )
    images = random_images(2, *shape)
    expected = reference(layer, images)
    assert expected.shape == (2, *shape[:2], 2 * filters)
    np.testing.assert_allclose(layer(images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (4, 1), (4, 5)])
@pytest.mark.parametrize("mask_type", ["A", "B"])
def test_conditions_equal_reference(size, mask_type):
    shapes = (4, 5, 2), (*size, 3)
    layer = random_layer(*shapes, filters=2, mask_type=mask_type)
    images, condition = (random_images(2, *shape) for shape in shapes)
    expected = reference(layer, images, condition)
    np.testing.assert_allclose(layer(images, condition), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize(("shape", "filters", "kernel_size"), CASES[:2])
def test_sees_the_rectangle_above(shape, filters, kernel_size, mask_type):
    layer = random_layer(
        shape, filters=filters, kernel_size=kernel_size, mask_type=mask_type
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
    first = random_layer((4, 5, 3), filters=2, kernel_size=5, mask_type="A")
    later = random_layer((4, 5, 4), (1, 1, 3), filters=2, kernel_size=5)
    assert [w.shape for w in first.weights] == [(2, 5, 3, 4), (4,)]
    assert [w.shape for w in later.weights] == [(3, 5, 2, 4), (4,), (3, 4)]


def test_arguments_reach_the_kernels():
    layer = random_layer(
        (4, 5, 4),
        (1, 1, 2),
        filters=2,
        activation="relu",
        use_bias=False,
        kernel_initializer=keras.initializers.Constant(0.5),
        kernel_regularizer=keras.regularizers.L2(0.1),
    )
    kernels = layer.get_weights()
    assert len(kernels) == 2
    penalty = sum(0.1 * np.square(kernel).sum() for kernel in kernels)
    np.testing.assert_allclose(sum(layer.losses), penalty, rtol=1e-5)
    negative = -np.abs(random_images(1, 4, 5, 4))
    zeros = np.zeros((1, 1, 1, 2), "float32")
    np.testing.assert_array_equal(layer(negative, zeros), np.zeros((1, 4, 5, 4)))
    fresh = GatedVerticalConv(2, kernel_initializer="ones", bias_initializer="ones")
    fresh.build((None, 4, 5, 4))
    assert all((weight == 1).all() for weight in fresh.get_weights())


def test_one_initializer_gives_each_kernel_other_values():
    # Kernels of the same shape, whose values would be equal from one initializer.
    layer = GatedVerticalConv(3, kernel_initializer=keras.initializers.GlorotNormal())
    first, second = layer.weight_arguments(), layer.weight_arguments()
    values = [each["kernel_initializer"]((3, 3)) for each in (first, second)]
    assert (np.asarray(values[0]) != np.asarray(values[1])).all()


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
def test_bad_argument_is_refused(arguments, match):
    with pytest.raises(ValueError, match=f"(?s){match}"):
        GatedVerticalConv(**({"filters": 2} | arguments))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"even number.*\(2, 4, 6, 5\)"):
        GatedVerticalConv(2)(np.zeros((2, 4, 6, 5), "float32"))
    with pytest.raises(ValueError, match="rank 3"):
        GatedVerticalConv(2)(np.zeros((2, 4, 6), "float32"))
    images = np.zeros((2, 4, 6, 4), "float32")
    with pytest.raises(ValueError, match="`condition`.*height or 1"):
        GatedVerticalConv(2)(images, np.zeros((2, 3, 6, 1), "float32"))
    layer = GatedVerticalConv(2)
    layer(images)
    with pytest.raises(ValueError, match="built without `condition`"):
        layer(images, images)


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
