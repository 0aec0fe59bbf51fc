"""Leaks are found and named; causal models have none."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_genimg.causality import first_leak, is_causal
from keras_genimg.layers import DiagonalBiLSTM, MaskedConv2D, RowLSTM
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import (
    AutoregressiveModel,
    MultiScalePixelRNN,
    PixelCNN,
    PixelRNN,
)
from tests.causality.wired import wired
from tests.fuzz.own_layers import BatchMean, Noisy
from tests.seldom import slow_but

SHAPE = (5, 6, 3)


def masked(filters, kernel_size, mask, **options):
    return MaskedConv2D(filters, kernel_size, mask, **{"num_colors": 3, **options})


def start(images):
    return masked(9, 3, "A", activation="tanh")(images)


def end(x):
    return masked(3, 1, "B", dtype="float32")(x)


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


MASKED = "MaskedConv2D 'guilty'"

# Name: (outputs for images, kind of the leak, leaking layer).
NETWORKS = {
    "mask B first": (
        lambda x: end(masked(9, 3, "B", name="guilty")(2 * x)),
        *("itself", MASKED),
    ),
    "mask B beside mask A": (
        lambda x: end(layers.Add()([start(x), masked(9, 1, "B", name="guilty")(x)])),
        *("itself", MASKED),
    ),
    "the image added": (
        lambda x: layers.Add(name="guilty")([end(start(x)), x]),
        *("itself", "Add 'guilty'"),
    ),
    "look-up": (lambda x: end(LookUp(name="table")(x)), "itself", "MaskedConv2D"),
    "no mask at all": (layers.Dense(3, name="guilty"), "color", "Dense 'guilty'"),
    "colors forgotten at the end": (
        lambda x: masked(3, 1, "B", num_colors=1, name="guilty")(start(x)),
        *("color", MASKED),
    ),
}
# The same of what is between two masked convolutions.
MIDDLES = {
    "colors forgotten": (
        masked(9, 1, "B", num_colors=1, name="guilty"),
        *("color", MASKED),
    ),
    "same convolution": (unmasked(), "pixel", "Conv2D 'guilty'"),
    "flattened": (flattened, "pixel", "Flatten 'guilty'"),
    "attention": (attention, "pixel", "MultiHeadAttention 'guilty'"),
    "flipped": (lambda x: ops.flip(x, axis=2), "pixel", "Flip"),
    "nested": (lambda x: nested()(x), "pixel", "Conv2D 'guilty'"),
    "in a Sequential": (keras.Sequential([unmasked()]), "pixel", "Conv2D 'guilty'"),
}


@pytest.mark.parametrize("name", [*NETWORKS, *MIDDLES])
def test_leaks_are_named(name):
    if name in MIDDLES:
        middle, kind, layer = MIDDLES[name]
        model = wired(middle, SHAPE)
    else:
        body, kind, layer = NETWORKS[name]
        images = keras.Input(SHAPE)
        model = AutoregressiveModel(images, body(images))
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
    assert first_leak(wired(shape=shape, mask="B")).kind == "itself"


def test_any_size():
    good = wired(RowLSTM(9, num_colors=3), (None, None, 3))
    bad = wired(shape=(None, None, 3), mask="B")
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

        assert first_leak(wired(OneRow(), SHAPE)).changed[0] == row


def test_couples_colors():
    """A likelihood that couples colors must not see any color of the pixel."""

    class Coupled(Categorical):
        couples_colors = True

    assert is_causal(wired(shape=SHAPE, likelihood=Coupled(4), num_colors=1))
    assert is_causal(wired(shape=SHAPE, likelihood=Categorical(4)))
    leak = first_leak(wired(shape=SHAPE, likelihood=Coupled(4)))
    assert leak.kind == "itself" and len(leak.changed) == 2
    assert leak.layer == "MaskedConv2D 'first'"
    assert "from (row 0, column 0) on" in str(leak)


@pytest.mark.parametrize("trainable", [True, False])
def test_weights_cannot_hide_a_leak(trainable):
    layer = unmasked(kernel_initializer="zeros")
    model = wired(layer, SHAPE)
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

    normalize = layers.BatchNormalization(epsilon=0)
    own_mask = OwnMask(9, 3, padding="same")
    assert is_causal(wired(lambda x: own_mask(normalize(x)), SHAPE))


class BatchSize(layers.Layer):
    def call(self, inputs):
        return inputs * ops.cast(ops.shape(inputs)[0], "float32")


@pytest.mark.parametrize(
    ("layer", "kind"),
    [(BatchMean, "batch"), (BatchSize, "batch"), (partial(Noisy, always=True), "call")],
)
def test_other_images_and_noise_are_seen(layer, kind):
    guilty = layer(name="guilty")
    leak = first_leak(wired(guilty, SHAPE))
    assert leak.kind == kind and leak.layer == f"{type(guilty).__name__} 'guilty'"


class FaintNoise(Noisy):
    """Noise in inference, far fainter."""

    def __init__(self, scale):
        super().__init__(always=True)
        self.scale = scale

    def call(self, inputs):
        return inputs + self.scale * (super().call(inputs) - inputs)


def test_noise_below_the_rounding_of_quantized_layers_is_seen():
    noise, dense = FaintNoise(0.01), layers.Dense(9)
    model = wired(lambda x: noise(dense(x)), SHAPE)
    model.quantize("int8", filters=["dense"])
    assert first_leak(model).kind == "call"


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
    guilty, dense = layers.Lambda(mix, (9,), name="guilty"), layers.Dense(9)
    model = wired(
        lambda x, y: x + dense(guilty(y))[:, None, None], conditions=[keras.Input((9,))]
    )
    leak = first_leak(model)
    assert leak.kind == "batch" and leak.layer == "Lambda 'guilty'"


def test_what_random_weights_hide_is_seen_with_those_of_the_model():
    """Random weights are so large that the gate is closed."""

    def gated(x):
        size = ops.sum(ops.abs(layers.Dense(9)(x)), axis=-1, keepdims=True)
        return ops.relu(0.9 - size) * unmasked()(x) + x

    keras.utils.set_random_seed(0)
    assert "Conv2D 'guilty'" in str(first_leak(wired(gated, SHAPE)))


class ByPlace(layers.Layer):
    """Rounds each batch position differently, like some kernels."""

    def call(self, inputs):
        place = ops.cast(ops.arange(ops.shape(inputs)[0]), "float32")
        return inputs + 1e-5 * place[:, None, None, None]


def test_what_the_place_in_the_batch_changes_is_no_leak():
    assert is_causal(wired(ByPlace(), SHAPE))
    assert first_leak(wired(ByPlace(), SHAPE, "B")).kind == "itself"


def test_noise_in_the_last_digits_is_seen():
    """On a CPU, two forward passes give the same bits."""
    assert first_leak(wired(FaintNoise(1e-5), SHAPE)).kind == "call"


class Chaotic(layers.Layer):
    """Rounds batches of each size differently; its own weight enlarges that."""

    def build(self, shape):
        self.gain = self.add_weight(initializer=keras.initializers.Constant(1e5))

    def call(self, inputs):
        rounding = 1e-7 * ops.cast(ops.shape(inputs)[0], "float32")
        return ops.sin(self.gain * inputs * (1 + rounding))


def test_rounding_that_trained_weights_enlarge_is_no_leak():
    assert is_causal(wired(Chaotic(), SHAPE))


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

    def middle(x):
        return DiagonalBiLSTM(8, **lstm)(RowLSTM(12, **lstm)(x))

    return wired(middle, shape, mask, **options)


DTYPES = "float32 float64 mixed_bfloat16 mixed_float16 bfloat16 float16".split()


@pytest.mark.parametrize("dtype", slow_but(DTYPES, "mixed_bfloat16"))
def test_no_dtype_raises_an_alarm_or_hides_a_leak(dtype):
    for shape in ((9, 7, 1), (5, 6, 3)):
        assert is_causal(lstms(shape, dtype, "A"))
    assert not is_causal(lstms((3, 4, 1), dtype, "B"))


def test_conditions():
    assert is_causal(PixelCNN((4, 5, 1), 4, 1, condition_shape=(None, None, 2)))
    embed, label = layers.Embedding(2, 9), keras.Input((), dtype="int32")
    for mask in "AB":
        model = wired(
            lambda x, y: x + embed(y)[:, None, None], (4, 5, 1), mask, [label]
        )
        assert is_causal(model) == (mask == "A")


def test_graphs_that_fail():
    def add(x, small):
        return x + layers.UpSampling2D(2)(small)

    assert is_causal(wired(add, (4, 6, 1), conditions=[keras.Input((2, 3, 9))]))
    small = keras.Input((None, None, 9))
    model = wired(add, (None, None, 1), conditions=[small])
    with pytest.raises(Exception, match="Incompatible shapes"):
        first_leak(model, (4, 6, 1))
    assert not is_causal(model, (4, 6, 1))


class Table(keras.layers.Layer):
    """Adds rows of a table, of which it has only those from 3 to 5."""

    def build(self, *shapes):
        self.rows = self.add_weight(shape=(3, 9), initializer="ones", name="rows")

    def call(self, x, index):
        return x + tf.gather(self.rows, index - 3)[:, None, None]


def test_conditions_that_cannot_be_guessed_are_given():
    """Integers of unknown range are taken for 0 or 1."""
    index = keras.Input((), name="index", dtype="int32")
    model = wired(Table(), SHAPE, conditions=[index])
    with pytest.raises(tf.errors.InvalidArgumentError):
        first_leak(model)
    assert first_leak(model, conditions={"index": [3, 5]}) is None
    assert first_leak(model, conditions=np.array([4])) is None
    leaky = wired(Table(), SHAPE, mask="B", conditions=[index])
    leak = first_leak(leaky, conditions=[3])
    assert leak is not None and leak.kind == "itself"
    assert leak.layer == "MaskedConv2D 'first'"
    for conditions, text in (
        ({"other": [3]}, "`conditions` of wired must give the inputs"),
        ({}, "`conditions` of wired must give the inputs"),
        ({"index": [[3, 4]]}, "must have the shape"),
        ({"index": 3}, r"at least one. Received: shapes \[\(\)\]"),
        ([], r"at least one. Received: shapes \[\(0,\)\]"),
    ):
        with pytest.raises(ValueError, match=text):
            first_leak(model, conditions=conditions)


def test_conditions_of_several_networks_are_refused():
    """They would be dropped."""
    model = MultiScalePixelRNN((4, 4, 1), (2, 4), 4, 1)
    with pytest.raises(ValueError, match="one by one: .*a MultiScalePixelRNN"):
        first_leak(model, conditions=[1])


@pytest.mark.parametrize("check", [first_leak, is_causal])
def test_other_models_are_refused(check):
    """Also causal ones; `is_causal` returned False."""
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, start(inputs))
    with pytest.raises(ValueError, match="AutoregressiveModel.*Received: Functional"):
        check(model)
