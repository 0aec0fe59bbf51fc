"""Leaks are found and named; causal models have none."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_genimg.causality import first_leak, is_causal
from keras_genimg.layers import DiagonalBiLSTM, MaskedConv2D, RowLSTM, SplitColors
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import AutoregressiveModel, PixelCNN, PixelRNN
from tests.fuzz.own_layers import BatchMean, Noisy
from tests.seldom import slow_but

SHAPE = (5, 6, 3)


def wired(body, shape=SHAPE, likelihood="bernoulli", **options):
    """Return a model whose outputs are `body(images)`."""
    images = keras.Input(shape, name="images")
    return AutoregressiveModel(images, body(images), likelihood, **options)


def masked(filters, kernel_size, mask, **options):
    return MaskedConv2D(filters, kernel_size, mask, **{"num_colors": 3, **options})


def start(images):
    return masked(9, 3, "A", activation="tanh")(images)


def end(x):
    return masked(3, 1, "B", dtype="float32")(x)


def between(layer):
    """Return a model with `layer` between two masked convolutions."""
    return wired(lambda images: end(layer(start(images))))


class LookUp(layers.Layer):
    """Looks up a vector by the value of each sub-pixel; passes no gradient."""

    def call(self, inputs):
        table = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
        chosen = ops.take(table, ops.cast(ops.round(inputs), "int32"), axis=0)
        return ops.reshape(chosen, (-1, *inputs.shape[1:3], 3 * inputs.shape[3]))


def unmasked(**options):
    return layers.Conv2D(9, 3, padding="same", name="guilty", **options)


def nested():
    inputs = keras.Input((*SHAPE[:2], 9))
    return keras.Model(inputs, unmasked()(layers.ReLU()(inputs)))


def attention(x):
    return layers.MultiHeadAttention(1, 4, name="guilty")(x, x)


def flattened(x):
    x = layers.Dense(270)(layers.Flatten(name="guilty")(x))
    return layers.Reshape((5, 6, 9))(x)


# Name: (outputs for images, kind of the leak, leaking layer).
LEAKS = {
    "mask B first": (
        lambda x: end(masked(9, 3, "B", name="guilty")(2 * x)),
        "itself",
        "MaskedConv2D 'guilty'",
    ),
    "mask B beside mask A": (
        lambda x: end(layers.Add()([start(x), masked(9, 1, "B", name="guilty")(x)])),
        "itself",
        "MaskedConv2D 'guilty'",
    ),
    "the image added": (
        lambda x: layers.Add(name="guilty")([end(start(x)), x]),
        "itself",
        "Add 'guilty'",
    ),
    "look-up": (lambda x: end(LookUp(name="table")(x)), "itself", "MaskedConv2D"),
    "no mask at all": (layers.Dense(3, name="guilty"), "color", "Dense 'guilty'"),
    "colors forgotten": (
        lambda x: end(masked(9, 1, "B", num_colors=1, name="guilty")(start(x))),
        "color",
        "MaskedConv2D 'guilty'",
    ),
    "colors forgotten at the end": (
        lambda x: masked(3, 1, "B", num_colors=1, name="guilty")(start(x)),
        "color",
        "MaskedConv2D 'guilty'",
    ),
    "same convolution": (
        lambda x: end(unmasked()(start(x))),
        "pixel",
        "Conv2D 'guilty'",
    ),
    "flattened": (lambda x: end(flattened(start(x))), "pixel", "Flatten 'guilty'"),
    "attention": (
        lambda x: end(attention(start(x))),
        "pixel",
        "MultiHeadAttention 'guilty'",
    ),
    "flipped": (lambda x: end(ops.flip(start(x), axis=2)), "pixel", "Flip"),
    "nested": (lambda x: end(nested()(start(x))), "pixel", "Conv2D 'guilty'"),
    "in a Sequential": (
        lambda x: end(keras.Sequential([unmasked()])(start(x))),
        "pixel",
        "Conv2D 'guilty'",
    ),
}


@pytest.mark.parametrize("body, kind, layer", LEAKS.values(), ids=LEAKS)
def test_leaks_are_named(body, kind, layer):
    model = wired(body)
    leak = first_leak(model)
    assert leak.kind == kind
    assert leak.layer.startswith(layer)
    changed, seen_by = leak.changed, leak.seen_by
    expected = {
        "itself": seen_by == changed,
        "color": seen_by[:2] == changed[:2] and seen_by[2] < changed[2],
        "pixel": seen_by[:2] < changed[:2],
    }
    assert expected[kind]
    assert not is_causal(model)


@pytest.mark.parametrize(
    "shape", [(1, 9, 1), (9, 1, 1), (4, 1, 3), (1, 1, 3), (1, 1, 1)]
)
def test_lines_and_dots(shape):
    assert is_causal(PixelRNN(shape, 6, 1, first_kernel_size=3))
    leak = first_leak(
        wired(lambda x: MaskedConv2D(shape[2], 3, "B", shape[2])(x), shape)
    )
    assert leak.kind == "itself"


def test_any_size():
    good = wired(lambda x: end(RowLSTM(9, num_colors=3)(start(x))), (None, None, 3))
    bad = wired(lambda x: end(masked(9, 3, "B")(x)), (None, None, 3))
    for shape in (None, (3, 11, 3)):
        assert is_causal(good, shape)
        assert not is_causal(bad, shape)


def test_each_position_counts():
    """A leak of a single row, which a fixed choice of rows could miss."""
    for row in range(5):

        class OneRow(layers.Layer):
            def call(self, inputs, row=row):
                chosen = np.arange(5)[:, None, None] == row
                return ops.where(chosen, ops.flip(inputs, axis=2), inputs)

        assert first_leak(between(OneRow())).changed[0] == row


def test_couples_colors():
    """A likelihood that couples colors must not see any color of the pixel."""

    class Coupled(Categorical):
        couples_colors = True

    def body(num_colors):
        return lambda x: SplitColors(3)(
            MaskedConv2D(12, 1, "B", num_colors)(
                MaskedConv2D(9, 3, "A", num_colors, name="guilty")(x)
            )
        )

    assert is_causal(wired(body(1), likelihood=Coupled(4)))
    assert is_causal(wired(body(3), likelihood=Categorical(4)))
    leak = first_leak(wired(body(3), likelihood=Coupled(4)))
    assert leak.kind == "itself" and len(leak.changed) == 2
    assert leak.layer == "MaskedConv2D 'guilty'"
    assert "from (row 0, column 0) on" in str(leak)


@pytest.mark.parametrize("trainable", [True, False])
def test_weights_cannot_hide_a_leak(trainable):
    layer = unmasked(kernel_initializer="zeros")
    model = between(layer)
    layer.trainable = trainable
    before = model.get_weights()
    assert first_leak(model).layer == "Conv2D 'guilty'"
    model.set_weights([np.full(w.shape, np.nan) for w in before])
    assert not is_causal(model)
    assert all(np.isnan(w).all() for w in model.get_weights())


def test_masks_and_statistics_stay_what_they_are():
    """Weights that are not trained keep their zeros and signs."""

    class OwnMask(layers.Conv2D):
        def build(self, shape):
            super().build(shape)
            self.mask = self.add_weight(shape=(3, 3, 1, 1), trainable=False)
            self.mask.assign(np.arange(9).reshape(3, 3, 1, 1) < 4)

        def convolution_op(self, inputs, kernel):
            return super().convolution_op(inputs, kernel * self.mask)

    def body(x):
        x = layers.BatchNormalization(epsilon=0)(start(x))
        return end(OwnMask(9, 3, padding="same")(x))

    assert is_causal(wired(body))


class BatchSize(layers.Layer):
    def call(self, inputs):
        return inputs * ops.cast(ops.shape(inputs)[0], "float32")


@pytest.mark.parametrize("layer", [BatchMean, BatchSize, partial(Noisy, always=True)])
def test_other_images_of_the_batch_are_seen(layer):
    guilty = layer(name="guilty")
    leak = first_leak(between(guilty))
    assert leak.kind == "batch" and leak.layer == f"{type(guilty).__name__} 'guilty'"


def test_noise_below_the_rounding_of_quantized_layers_is_seen():
    class FaintNoise(Noisy):
        def call(self, inputs):
            return inputs + 0.01 * (super().call(inputs) - inputs)

    model = between(lambda x: FaintNoise(always=True)(layers.Dense(9)(x)))
    model.quantize("int8", filters=["dense"])
    assert first_leak(model).kind == "batch"


@pytest.mark.parametrize(
    "mix",
    [
        lambda x: ops.cumsum(x, axis=0),
        lambda x: ops.flip(x, axis=0),
        lambda x: ops.roll(x, 1, axis=0),
        lambda x: ops.roll(x, -1, axis=0),
        lambda x: ops.mean(x, axis=0, keepdims=True) + 0 * x,
    ],
    ids=["sums", "mirror", "before", "after", "mean"],
)
def test_conditions_of_other_images_are_seen(mix):
    images, vector = keras.Input((4, 5, 1)), keras.Input((3,))
    mixed = layers.Lambda(mix, output_shape=(3,), name="guilty")(vector)
    x = MaskedConv2D(4, 3, "A")(images)
    x = x + layers.Reshape((1, 1, 4))(layers.Dense(4)(mixed))
    logits = MaskedConv2D(1, 1, "B")(x)
    leak = first_leak(AutoregressiveModel([images, vector], logits))
    assert leak.kind == "batch" and leak.layer == "Lambda 'guilty'"


def test_what_random_weights_hide_is_seen_with_those_of_the_model():
    """Random weights are so large that the gate is closed."""

    def body(x):
        x = start(x)
        seen = unmasked()(x)
        size = ops.sum(ops.abs(layers.Dense(9)(x)), axis=-1, keepdims=True)
        return end(ops.relu(0.9 - size) * seen + x)

    keras.utils.set_random_seed(0)
    assert "Conv2D 'guilty'" in str(first_leak(wired(body)))


class ByPlace(layers.Layer):
    """Rounds each batch position differently, like some kernels."""

    def call(self, inputs):
        place = ops.cast(ops.arange(ops.shape(inputs)[0]), "float32")
        return inputs + 1e-5 * place[:, None, None, None]


class Noise(layers.Layer):
    """Noise that is also added in inference."""

    def call(self, inputs):
        return inputs + 1e-5 * keras.random.normal(ops.shape(inputs))


@pytest.mark.parametrize("layer", [ByPlace, Noise])
def test_what_the_place_in_the_batch_or_chance_changes_is_no_leak(layer):
    assert is_causal(between(layer()))
    leak = first_leak(wired(lambda x: end(layer()(masked(9, 3, "B")(x)))))
    assert leak.kind == "itself"


class Chaotic(layers.Layer):
    """Rounds batches of each size differently; its own weight enlarges that."""

    def build(self, shape):
        self.gain = self.add_weight(initializer=keras.initializers.Constant(1e5))

    def call(self, inputs):
        rounding = 1e-7 * ops.cast(ops.shape(inputs)[0], "float32")
        return ops.sin(self.gain * inputs * (1 + rounding))


def test_rounding_that_trained_weights_enlarge_is_no_leak():
    assert is_causal(between(Chaotic()))


PRESETS = [(model, name) for model in (PixelCNN, PixelRNN) for name in model.presets]


@pytest.mark.parametrize(
    "preset", slow_but(PRESETS, (PixelCNN, "cifar10_15x128")), ids=str
)
def test_presets_raise_no_alarm(preset):
    model, name = preset
    *_, colors = model.presets[name].config["image_shape"]
    options = {"image_shape": (9, 8, colors), "units": 4, "head_filters": 6}
    assert is_causal(model.from_preset(name, **options))


def lstms(shape, dtype, mask):
    """Return a model of LSTMs after a convolution with `mask`."""
    options = {"num_colors": shape[2], "dtype": dtype}
    lstm = {**options, "recurrent_initializer": "glorot_uniform"}

    def body(x):
        x = MaskedConv2D(12, 3, mask, **options)(x)
        x = DiagonalBiLSTM(8, **lstm)(RowLSTM(12, **lstm)(x))
        return MaskedConv2D(shape[2], 1, "B", shape[2], dtype="float32")(x)

    return wired(body, shape)


DTYPES = [
    "float32",
    "float64",
    "mixed_bfloat16",
    "mixed_float16",
    "bfloat16",
    "float16",
]


@pytest.mark.parametrize("dtype", slow_but(DTYPES, "float32", "mixed_bfloat16"))
@pytest.mark.parametrize("shape", [(9, 7, 1), (5, 6, 3)])
def test_no_dtype_raises_an_alarm(shape, dtype):
    assert is_causal(lstms(shape, dtype, "A"))


@pytest.mark.parametrize("dtype", slow_but(DTYPES, "float32", "float16"))
def test_no_dtype_hides_a_leak(dtype):
    assert not is_causal(lstms((3, 4, 1), dtype, "B"))


def test_conditions():
    assert is_causal(PixelCNN((4, 5, 1), 4, 1, num_classes=3))
    assert is_causal(PixelCNN((4, 5, 1), 4, 1, condition_shape=(None, None, 2)))
    images, label = keras.Input((4, 5, 1)), keras.Input((), dtype="int32")
    embedded = layers.Reshape((1, 1, 9))(layers.Embedding(2, 9)(label))
    for mask in "AB":
        x = layers.Add()([MaskedConv2D(9, 3, mask)(images), embedded])
        model = AutoregressiveModel([images, label], MaskedConv2D(1, 1, "B")(x))
        assert is_causal(model) == (mask == "A")


def test_graphs_that_fail():
    images, small = keras.Input((4, 6, 1)), keras.Input((2, 3, 9))
    x = layers.Add()([MaskedConv2D(9, 3, "A")(images), layers.UpSampling2D(2)(small)])
    assert is_causal(AutoregressiveModel([images, small], MaskedConv2D(1, 1, "B")(x)))
    images, small = keras.Input((None, None, 1)), keras.Input((None, None, 9))
    x = layers.Add()([MaskedConv2D(9, 3, "A")(images), layers.UpSampling2D(2)(small)])
    model = AutoregressiveModel([images, small], MaskedConv2D(1, 1, "B")(x))
    with pytest.raises(Exception, match="Incompatible shapes"):
        first_leak(model, (4, 6, 1))
    assert not is_causal(model, (4, 6, 1))


@pytest.mark.parametrize("check", [first_leak, is_causal])
def test_other_models_are_refused(check):
    """Also causal ones; `is_causal` returned False."""
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, start(inputs))
    with pytest.raises(ValueError, match="AutoregressiveModel.*Received: Functional"):
        check(model)
