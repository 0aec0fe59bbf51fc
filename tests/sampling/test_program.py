"""Programs of the incremental sampler for graphs that users may build."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import (
    CausalLayer,
    DiagonalBiLSTM,
    MaskedConv2D,
    ResidualMaskedConvBlock,
    RowLSTM,
)
from keras_genimg.models import AutoregressiveModel
from tests.sampling.drawn import assert_ancestral
from tests.sampling.forced import assert_sampled_as_computed

SHAPE = (5, 4, 1)


class RowAverage(CausalLayer, layers.Layer):
    """Average of the pixels to the left in the row, and of the row above.

    A causal layer as a user would write one: no weights, one running sum, one cache.
    """

    def call(self, inputs):
        column = keras.ops.arange(inputs.shape[2], dtype=inputs.dtype)
        total = keras.ops.cumsum(inputs, axis=2) - inputs
        left = total / keras.ops.maximum(column, 1)[:, None]
        above = keras.ops.mean(inputs, axis=2, keepdims=True)
        above = keras.ops.pad(above, [[0, 0], [1, 0], [0, 0], [0, 0]])[:, :-1]
        return left + above

    def initial_cache(self, weights, batch, width, channels):
        return (tf.zeros((batch, channels)),)

    def begin_row(self, weights, cache):
        (above,) = cache
        return (above * 0, above[:, :1] * 0, above), ()

    def step(self, weights, carry, row, inputs):
        total, count, above = carry
        output = total / tf.maximum(count, 1) + above
        return output, (total + inputs, count + 1, above), (inputs,)

    def end_row(self, weights, cache, kept):
        return (tf.reduce_mean(kept[0], axis=0),)


def model_of(body, *conditions):
    images = keras.Input(SHAPE, name="images")
    x = MaskedConv2D(6, 3, "A")(images)
    x = body(x, *conditions)
    logits = MaskedConv2D(1, 1, "B")(x)
    inputs = [images, *conditions] if conditions else images
    model = AutoregressiveModel(inputs, logits, "bernoulli")
    generator = np.random.default_rng(0)
    model.set_weights(
        [generator.normal(0, 0.5, w.shape) + w for w in model.get_weights()]
    )
    return model


def nested(x):
    inner_input = keras.Input((*SHAPE[:2], 6))
    inner = keras.Model(inner_input, DiagonalBiLSTM(6)(layers.ReLU()(inner_input)))
    # Twice, so that each occurrence needs a cache of its own.
    return inner(inner(x))


def shared(x):
    convolution = MaskedConv2D(6, 5, "B", activation="tanh")
    return convolution(layers.Add()([x, convolution(x)]))


def pointwise(x):
    y = layers.Dense(8, activation="gelu")(x)
    y = layers.LayerNormalization()(layers.Dropout(0.5)(y))
    y = layers.BatchNormalization()(layers.Conv2D(6, 1)(y))
    y = layers.Concatenate()(
        [x, keras.ops.tanh(y) * 2 - 1, layers.Activation("silu")(x)]
    )
    y = layers.Multiply()([y, keras.ops.sigmoid(y)])
    return keras.ops.concatenate([RowLSTM(4, 5)(y), layers.LeakyReLU()(x)], axis=-1)


def sums(x):
    a, b = MaskedConv2D(5, 1, "B")(x), layers.Dense(5)(x)
    return layers.Add()([a, b, layers.Conv2D(5, 1, use_bias=False)(x)])


# Each takes the channels of the one before, so that they can be chained.
BODIES = {
    "nested": nested,
    "shared": shared,
    "block": lambda x: ResidualMaskedConvBlock(3)(x),
    "pointwise": pointwise,
    "sums": sums,
    "of_the_users": lambda x: RowAverage()(x),
    "wide": lambda x: MaskedConv2D(4, (1, 5), "B")(MaskedConv2D(5, (5, 1), "B")(x)),
    "rows": lambda x: RowLSTM(5, 7, use_bias=False)(x),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_any_graph_of_causal_and_pointwise_layers(body):
    assert_sampled_as_computed(model_of(body))


@pytest.mark.slow
def test_all_of_them_in_one_graph():
    model = model_of(
        lambda x: functools.reduce(lambda y, body: body(y), BODIES.values(), x)
    )
    assert_ancestral(model, model.generate(12, seed=0))
    assert_sampled_as_computed(model, jit_compile=True)


def test_layers_without_bias_and_other_masks():
    images = keras.Input((4, 5, 3))
    x = RowLSTM(7, 3, num_colors=3, mask_type="A", use_bias=False)(images)
    x = layers.Add()([x, MaskedConv2D(7, 3, "A", 3, use_bias=False)(images)])
    x = DiagonalBiLSTM(5, 3, use_bias=False)(layers.ReLU()(x))
    model = AutoregressiveModel(images, MaskedConv2D(3, 1, "B", 3)(x))
    assert_ancestral(model, model.generate(8, seed=0))


def test_conditions_meet_the_image_as_maps():
    label = keras.Input((), dtype="int32", name="label")
    wide = keras.Input((*SHAPE[:2], 2), name="wide")

    def body(x, label, wide):
        embedded = layers.Embedding(3, 6)(label)
        x = x + layers.Reshape((1, 1, 6))(embedded)
        x = layers.Concatenate()([x, layers.Conv2D(3, 3, padding="same")(wide)])
        return RowLSTM(4)(x, layers.Conv2D(2, 3, padding="same")(wide))

    model = model_of(body, label, wide)
    conditions = {
        "label": np.arange(6) % 3,
        "wide": np.random.default_rng(0).normal(size=(6, *SHAPE[:2], 2)),
    }
    drawn = model.generate(6, seed=0, conditions=conditions)
    assert_ancestral(model, drawn, conditions)
    vector = model_of(lambda x, label: x + layers.Embedding(3, 6)(label), label)
    with pytest.raises(ValueError, match=r"no height and width.*\(batch, 1, 1, chan"):
        vector.generate(2, conditions=[0, 1])


def flat_and_back(x):
    return layers.Reshape((*SHAPE[:2], 6))(layers.Flatten(name="bad")(x))


CAUSAL = {
    "Reshape": (
        lambda x: layers.Reshape((*SHAPE[:2], 6), name="bad")(x),
        "keep the map's axes",
    ),
    "Flatten": (flat_and_back, "keep the map's axes"),
    "AveragePooling2D": (lambda x: layers.AveragePooling2D(1, name="bad")(x), ""),
    "Add": (lambda x: x + np.ones((*SHAPE[:2], 6), "float32"), ""),
}
NOT_CAUSAL = {
    "Conv2D": (lambda x: layers.Conv2D(6, 3, padding="same", name="bad")(x), "Masked"),
    "BatchNormalization": (
        lambda x: layers.BatchNormalization(name="bad")(x, training=True),
        "training=False",
    ),
    "MultiHeadAttention": (
        lambda x: layers.MultiHeadAttention(1, 2, name="bad")(x, x),
        "",
    ),
    "LayerNormalization": (
        lambda x: layers.LayerNormalization((1, 2), name="bad")(x),
        "",
    ),
    "Softmax": (lambda x: layers.Softmax(axis=1, name="bad")(x), ""),
    "Flip": (lambda x: keras.ops.flip(x, axis=1), ""),
}


@pytest.mark.parametrize("kind", [*CAUSAL, *NOT_CAUSAL])
def test_other_layers_are_refused_by_name(kind):
    make, advice = {**CAUSAL, **NOT_CAUSAL}[kind]
    model = model_of(make)
    with pytest.raises(ValueError, match=f"(?s){kind}.*{advice}") as caught:
        model.generate(1, seed=0)
    # Only for causal graphs does the error recommend other samplers.
    assert ("fixed_point" in str(caught.value)) == (kind in CAUSAL)


def test_noise_in_inference_is_refused_by_name():
    model = model_of(lambda x: layers.SpatialDropout2D(0.1)(x, training=True))
    with pytest.raises(ValueError, match="SpatialDropout2D.*training=True"):
        model.generate(1, seed=0)


def test_fixed_point_serves_graphs_that_the_incremental_sampler_refuses():
    model = model_of(lambda x: layers.Reshape((*SHAPE[:2], 6))(DiagonalBiLSTM(6)(x)))
    assert_ancestral(model, model.generate(5, seed=0, method="fixed_point"))


def test_it_can_be_exported_by_naming_the_method(tmp_path):
    model = model_of(lambda x: layers.Reshape((*SHAPE[:2], 6))(x))
    with pytest.raises(ValueError, match="Reshape"):
        model.export(tmp_path / "model")
    model.export(tmp_path / "model", method="fixed_point", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    images = loaded.signatures["sample"](seed=tf.constant([3], tf.int64))["images"]
    expected = model.likelihood.to_display(
        model.generate(1, seed=3, method="ancestral")
    )
    np.testing.assert_array_equal(images, expected)


def test_a_graph_without_weights_is_drawn():
    images = keras.Input(SHAPE)
    model = AutoregressiveModel(images, RowAverage()(images) - 0.5, "bernoulli")
    assert not model.weights
    assert_ancestral(model, model.generate(8, seed=0))


READERS = {
    "convolution": lambda x: MaskedConv2D(5, 3, "B", activation="tanh")(x),
    "colors": lambda x: MaskedConv2D(6, 3, "B", 3, activation="tanh")(x),
    "row": lambda x: RowLSTM(5)(x),
    "diagonal": lambda x: DiagonalBiLSTM(5)(x),
    "users": lambda x: RowAverage()(x) + 0.5 * x,
    "two": lambda x: DiagonalBiLSTM(4)(MaskedConv2D(5, 3, "B")(x)),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_mask_a_may_stand_behind_other_readers_of_the_image(reader):
    colors = 3 if reader is READERS["colors"] else 1
    images = keras.Input((5, 4, colors))
    x = reader(images)
    x = MaskedConv2D(6, 3, "A", colors, activation="tanh")(x)
    logits = MaskedConv2D(colors, 1, "B", colors)(x)
    model = AutoregressiveModel(images, logits, "bernoulli")
    randomize(model, seed=3, gain=3.0)
    drawn = model.generate(8, seed=0)
    assert_ancestral(model, drawn)
    known = np.eye(5, 4)
    given = np.ones((8, 5, 4, colors), "uint8")
    completed = (
        model.complete(given, known, seed=0, method=method)
        for method in ("incremental", "ancestral")
    )
    np.testing.assert_array_equal(*completed)
    assert_sampled_as_computed(model)


def test_pixels_have_the_type_of_the_input():
    """In uint8, 0 - 1 is 255."""
    images = keras.Input(SHAPE, dtype="uint8")
    x = keras.ops.cast(images - 1, "float32") / 100
    x = MaskedConv2D(6, 3, "A")(x)
    model = AutoregressiveModel(images, MaskedConv2D(1, 1, "B")(x), "bernoulli")
    randomize(model, seed=3)
    assert_ancestral(model, model.generate(8, seed=0))


def test_the_input_of_a_sequence_casts():
    inner = keras.Sequential([keras.Input((*SHAPE[:2], 6), dtype="int32")])
    inner.add(layers.Rescaling(1.0))
    model = model_of(lambda x: inner(3 * x))
    assert_ancestral(model, model.generate(8, seed=0))


def test_noise_on_a_condition_is_refused():
    vector = keras.Input((3,), name="vector")

    def body(x, vector):
        noisy = layers.Dropout(0.5)(layers.Dense(6)(vector), training=True)
        return x + layers.Reshape((1, 1, 6))(noisy)

    model, ones = model_of(body, vector), np.ones((4, 3), "float32")
    with pytest.raises(ValueError, match="Dropout.*training=True"):
        model.generate(4, conditions=ones)
    # In a forward pass, `training=False` of the model overrides that of the layer.
    drawn = [
        model.generate(4, seed=0, conditions=ones, method=method)
        for method in ("fixed_point", "fixed_point", "ancestral")
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize("name", ["triu", "tril", "cumsum"])
def test_functions_of_keras_that_see_other_pixels_are_found(name):
    layer = layers.Activation(getattr(keras.ops, name), name="guilty")
    model = model_of(layer)
    with pytest.raises(ValueError, match="guilty"):
        model.generate(1, seed=0)


def test_a_constant_of_columns_that_keras_adds_to_rows():
    """`keras.ops.add` takes it for a bias of channels-first data."""
    column = np.linspace(-3, 3, 4, dtype="float32").reshape(1, 1, 4, 1)
    images = keras.Input((4, 4, 1))
    x = MaskedConv2D(6, 3, "A")(images) + column
    model = AutoregressiveModel(images, MaskedConv2D(1, 1, "B")(x), "bernoulli")
    with pytest.raises(ValueError, match="Add 'add"):
        model.generate(1, seed=0)
