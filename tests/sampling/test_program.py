"""The sampler compiles a graph correctly, or refuses a layer by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import (
    DiagonalBiLSTM,
    MaskedConv2D,
    ResidualMaskedConvBlock,
    RowLSTM,
    SplitColors,
)
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import AutoregressiveModel, PixelCNN
from keras_genimg.ops.precision import in_float32
from keras_genimg.sampling import incremental_sampler
from keras_genimg.sampling.plan import Plan
from keras_genimg.sampling.pointwise import Linear
from keras_genimg.sampling.program import Level, Program, Refusal
from keras_genimg.sampling.rewrites import rewritten
from keras_genimg.sampling.values import PlanValues
from tests.fuzz import own_layers as own
from tests.sampling.drawn import assert_ancestral, assert_served_as_drawn, model_of
from tests.sampling.forced import assert_sampled_as_computed
from tests.seldom import slow_but

SHAPE = (5, 4, 1)  # The default of `model_of`.


class Difference(layers.Layer):
    """A layer of layers of two tensors, whose names are not in alphabetical order."""

    def __init__(self):
        super().__init__()
        self.convolution = MaskedConv2D(6, 3, "B")

    def call(self, inputs, b, a):
        return inputs + self.convolution(b) - 2 * a


class Gated(layers.Layer):
    """A layer of layers with a dict of outputs, and weights besides those of layers."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(12)

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.log_scale = self.add_weight(shape=(6,), initializer="ones")
        self.bias_map = self.add_weight(shape=(1, *SHAPE[:2], 6))

    def call(self, inputs):
        content, gate = ops.split(self.dense(inputs), 2, axis=-1)
        content = content * ops.exp(self.log_scale) + self.bias_map
        return {"gate": ops.sigmoid(gate) * self.log_scale, "content": content}


class AddsVector(layers.Layer):
    """A layer of layers that makes a map of a vector before it meets the image."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(6)

    def call(self, inputs, vector):
        return inputs + ops.reshape(self.dense(vector), (-1, 1, 1, 6))


class TakesTraining(own.Left):
    """A causal layer with the arguments that Keras passes to some layers."""

    supports_masking = True

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs)


def by_keyword(x):
    block = own.Composite(6, 1)
    scaled, _ = block(x, scale=-5.0)
    _, gated = block(scaled, gate=layers.Dense(6)(x), scale=2.0)
    return gated


def tensors_out_of_order(x):
    a, b = layers.Dense(6)(x), DiagonalBiLSTM(6)(x)
    return Difference()(x, b=b, a=a)


def nested_functional(x):
    inputs = {name: keras.Input((*SHAPE[:2], 6), name=name) for name in ("q", "p")}
    outputs = {
        "sum": DiagonalBiLSTM(6)(inputs["p"]) * 3 + inputs["q"],
        "first": layers.ReLU()(inputs["p"]),
    }
    inner = keras.Model(inputs, outputs)
    outputs = inner({"p": x, "q": layers.Dense(6)(x)})
    # Twice, so that each occurrence needs a cache of its own.
    return inner({"p": outputs["sum"], "q": -2 * outputs["first"]})["sum"]


def nested_sequential(x):
    inner = keras.Sequential([layers.Dense(6), MaskedConv2D(6, 3, "B"), layers.ReLU()])
    outer = keras.Sequential([inner, layers.Dense(6)])
    return outer(x) + inner(x)


def sequence_that_casts(x):
    inner = keras.Sequential([keras.Input((*SHAPE[:2], 6), dtype="int32")])
    inner.add(layers.Rescaling(1.0))
    return inner(3 * x)


def gated(x):
    outputs = Gated()(x)
    return outputs["content"] * outputs["gate"] + outputs["content"]


def shared(x):
    convolution = MaskedConv2D(6, 5, "B", activation="tanh")
    return convolution(layers.Add()([x, convolution(x)]))


def pointwise(x):
    y = layers.Dense(8, activation="gelu")(x)
    y = layers.LayerNormalization()(layers.Dropout(0.5)(y))
    y = layers.BatchNormalization()(layers.Conv2D(6, 1)(y))
    y = layers.Concatenate()([x, ops.tanh(y) * 2 - 1, layers.Activation("silu")(x)])
    y = layers.Multiply()([y, ops.sigmoid(y)])
    return ops.concatenate([RowLSTM(4, 5)(y), layers.LeakyReLU()(x)], axis=-1)


def skips(x):
    found = []
    for _ in range(3):
        x = ResidualMaskedConvBlock(3)(x)
        found.append(layers.Dense(4)(x))
    return layers.ReLU()(layers.Add()(found))


def residual_products(x):
    for size in (1, 2):
        x = x + layers.Dense(6)(layers.Dense(size, activation="relu")(x))
    return layers.Dense(5)(x)


def sums(x):
    a, b = MaskedConv2D(5, 1, "B")(x), layers.Dense(5)(x)
    return layers.Add()([a, b, layers.Conv2D(5, 1, use_bias=False)(x)])


def doubled(x):
    y = layers.Dense(5)(x)
    return ops.relu(y + y)


def vertical(x):
    once = own.Above(name="once")(x)
    between = layers.Dense(6, activation="tanh", name="between")(once)
    twice = own.Above(name="twice")(between)
    return layers.Add()([MaskedConv2D(6, 3, "B")(x), between * 2, twice])


def also_read_by_a_causal_layer(x):
    y = layers.Dense(5)(x)
    return layers.Dense(6)(ops.relu(y)) + MaskedConv2D(6, 3, "B")(y)


def in_rows_and_in_pixels(x):
    above = layers.Dense(6)(MaskedConv2D(6, 3, "A")(x))
    return above + layers.Dense(6)(layers.Dense(6)(x) + above)


def constants_of_fewer_axes(x):
    for shape in [(6,), (4, 6), (5, 4, 1), (5, 1, 6)]:
        constant = np.linspace(-1, 1, np.prod(shape), dtype="float32").reshape(shape)
        x = ops.arctan2(x, 2 + x * x) + constant
    return x


class Mixin:
    def call(self, inputs):
        return inputs + 1


class MixedReLU(Mixin, layers.ReLU):
    pass


class MyConv2D(layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        return 3 * super().convolution_op(inputs, kernel)


class VouchedFor(MyConv2D):
    pointwise = True


def patched(x):
    layer = layers.Dense(6, name="patched")
    layer.call = lambda inputs, training=None: 2 * inputs
    return layer(x)


GRAPHS = {
    "shared": shared,
    "pointwise": pointwise,
    "sums": sums,
    "of_the_users": lambda x: own.Left()(x) - own.Sides()(x),
    "training_and_mask": lambda x: TakesTraining()(x, training=False, mask=None),
    "wide": lambda x: MaskedConv2D(4, (1, 5), "B")(MaskedConv2D(5, (5, 1), "B")(x)),
    "rows": lambda x: RowLSTM(5, 7, use_bias=False)(x),
    "by_keyword": by_keyword,
    "tensors_out_of_order": tensors_out_of_order,
    "several_outputs": gated,
    "nested_functional": nested_functional,
    "nested_sequential": nested_sequential,
    "sequence_that_casts": sequence_that_casts,
    "prelu": lambda x: layers.PReLU(shared_axes=[1, 2])(x),
    "rms_normalization": lambda x: layers.RMSNormalization()(x),
    "channel_operations": lambda x: (
        ops.softmax(x[..., 1:5], axis=3) * ops.mean(x, axis=-1, keepdims=True)
    ),
    "constants": lambda x: ops.where(x > 0, x * np.arange(1.0, 7, dtype="float32"), -x),
    "constant_of_float64": lambda x: x + ops.multiply(x, np.linspace(-1, 1, 6)),
    "constants_of_fewer_axes": constants_of_fewer_axes,
    "map_of_numbers": lambda x: x * np.ones((1, *SHAPE[:2], 6), "float32") * 2,
    "broadcast_sum": lambda x: layers.Add()([x, layers.Dense(1)(x)]),
    "activation": lambda x: MaskedConv2D(6, 3, "B", activation=lambda y: y * y - 1)(x),
    # Layers that compute something else than their base, which the sampler can see.
    "composite": lambda x: own.Halved(3)(x),
    "defaults": lambda x: own.Tuned(6, 3, "B")(x),
    "vouched_for": lambda x: VouchedFor(6, 1)(x),
    "mixed": lambda x: MixedReLU()(x),
    "patched": patched,
    # Products take over biases, sums and activations.
    "skips": skips,
    "residual_products": residual_products,
    "relu": lambda x: layers.Activation("relu")(layers.Dense(5)(x)),
    "capped": lambda x: layers.ReLU(max_value=0.2)(layers.Dense(5)(x)),
    "doubled": doubled,
    "plus_a_number": lambda x: layers.Dense(5)(layers.Dense(2)(x) + 3.0),
    "plus_a_vector": lambda x: layers.Dense(6)(x) + tf.range(6.0),
    "also_read_by_a_causal_layer": also_read_by_a_causal_layer,
    "in_rows_and_in_pixels": in_rows_and_in_pixels,
    "vertical": vertical,
    "rows_alone": lambda x: own.Above()(DiagonalBiLSTM(6)(x)),
}


@pytest.mark.parametrize("body", GRAPHS.values(), ids=GRAPHS)
def test_any_graph_of_causal_and_pointwise_layers(body):
    assert_sampled_as_computed(model_of(body))


def test_layers_without_bias_and_other_masks():
    images = keras.Input((4, 5, 3))
    x = RowLSTM(7, 3, num_colors=3, mask_type="A", use_bias=False)(images)
    x = layers.Add()([x, MaskedConv2D(7, 3, "A", 3, use_bias=False)(images)])
    x = DiagonalBiLSTM(5, 3, use_bias=False)(layers.ReLU()(x))
    model = AutoregressiveModel(images, MaskedConv2D(3, 1, "B", 3)(x))
    assert_sampled_as_computed(model)


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
    assert_sampled_as_computed(model, 6, conditions)
    vector = model_of(lambda x, label: x + layers.Embedding(3, 6)(label), label)
    with pytest.raises(ValueError, match=r"no height and width.*\(batch, 1, 1, chan"):
        vector.generate(2, conditions=[0, 1])


def test_layers_of_layers_may_make_maps_of_vectors():
    vector = keras.Input((3,), name="vector")
    model = model_of(lambda x, vector: AddsVector()(x, vector), vector)
    given = {"vector": np.random.default_rng(0).normal(size=(6, 3))}
    assert_sampled_as_computed(model, 6, given)


def test_a_graph_of_a_sequential_model():
    layer = MaskedConv2D(1, 3, "A")
    sequential = keras.Sequential([keras.Input((4, 5, 1)), layer])
    model = AutoregressiveModel(sequential.inputs, sequential.outputs)
    assert_sampled_as_computed(model)
    with pytest.raises(
        ValueError, match=r"outputs of shape (\(None, 4, 5, 1\)(, )?){2}"
    ):
        AutoregressiveModel(sequential.inputs, 2 * sequential.outputs)


def test_a_graph_without_weights_is_drawn():
    images = keras.Input(SHAPE)
    model = AutoregressiveModel(images, own.Left()(images) - 0.5, "bernoulli")
    assert not model.weights
    assert_ancestral(model, model.generate(8, seed=0))


def test_graphs_without_causal_layers():
    images, levels = keras.Input(SHAPE), keras.Input(SHAPE, name="levels")
    model = AutoregressiveModel([images, levels], 4 * levels, "bernoulli")
    given = np.random.default_rng(0).normal(size=(8, *SHAPE))
    drawn = model.generate(8, seed=0, conditions=given)
    assert_ancestral(model, drawn, given)
    one = model.generate(1, seed=0, conditions=given[:1])
    np.testing.assert_array_equal(one, drawn[:1])
    leaky = AutoregressiveModel(images, layers.Dense(1)(images), "bernoulli")
    with pytest.raises(ValueError, match="not causal.*enters through Dense"):
        leaky.generate(1)


def test_layers_on_the_values_of_each_color():
    """The values of a pixel then have an axis of colors, `(batch, colors, n)`."""
    images = keras.Input((3, 4, 3))
    x = SplitColors(3)(MaskedConv2D(12, 3, "A", 3)(images))
    shared = SplitColors(1)(MaskedConv2D(4, 3, "A")(images))
    logits = layers.Dense(5)(layers.Add()([x, shared]))
    model = AutoregressiveModel(images, logits, Categorical(5))
    randomize(model)
    # With three images, a bias for each would pass for one for each color.
    assert_sampled_as_computed(model, num_images=4)


READERS = {
    "convolution": lambda x: MaskedConv2D(5, 3, "B", activation="tanh")(x),
    "colors": lambda x: MaskedConv2D(6, 3, "B", 3, activation="tanh")(x),
    "row": lambda x: RowLSTM(5)(x),
    "diagonal": lambda x: DiagonalBiLSTM(5)(x),
    "users": lambda x: own.Left()(x) - own.Sides()(x),
    "two": lambda x: DiagonalBiLSTM(4)(MaskedConv2D(5, 3, "B")(x)),
}


@pytest.mark.parametrize("name", READERS)
def test_mask_a_may_stand_behind_other_readers_of_the_image(name):
    colors, reader = 3 if name == "colors" else 1, READERS[name]
    images = keras.Input((5, 4, colors))
    x = reader(images)
    x = MaskedConv2D(6, 3, "A", colors, activation="tanh")(x)
    logits = MaskedConv2D(colors, 1, "B", colors)(x)
    model = AutoregressiveModel(images, logits, "bernoulli")
    randomize(model, seed=3, gain=3.0)
    assert_sampled_as_computed(model)


def test_pixels_have_the_type_of_the_input():
    """In uint8, 0 - 1 is 255."""
    images = keras.Input(SHAPE, dtype="uint8")
    x = MaskedConv2D(6, 3, "A")(ops.cast(images - 1, "float32") / 100)
    model = AutoregressiveModel(images, MaskedConv2D(1, 1, "B")(x), "bernoulli")
    randomize(model, seed=3)
    assert_sampled_as_computed(model)


def test_noise_on_a_condition_is_refused():
    vector = keras.Input((3,), name="vector")

    def body(x, vector):
        noisy = layers.Dropout(0.5)(layers.Dense(6)(vector), training=True)
        return x + layers.Reshape((1, 1, 6))(noisy)

    model, ones = model_of(body, vector), np.ones((4, 3), "float32")
    with pytest.raises(ValueError, match="Dropout.*training=True"):
        model.generate(4, conditions=ones)
    images = np.zeros((4, *SHAPE), "float32")
    first, second = (
        np.asarray(model([images, ones], training=False)) for _ in range(2)
    )
    if (first != second).any():
        # From Keras 3.16 on, `training=True` of a layer holds in every forward pass.
        for method in ("fixed_point", "ancestral"):
            with pytest.raises(ValueError, match="from its seed.*Received: Dropout"):
                model.generate(4, seed=0, conditions=ones, method=method)
        return
    # Before, `training=False` of the model overrides it.
    drawn = [
        model.generate(4, seed=0, conditions=ones, method=method)
        for method in ("fixed_point", "fixed_point", "ancestral")
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])


class GlobalNoise(layers.Layer):
    """Draws from the generator that `keras.utils.set_random_seed` seeds."""

    pointwise = True

    def call(self, inputs):
        return inputs + keras.random.normal((6,))


def noise_in_a_row_that_may_be_guessed(noise):
    return model_of(lambda x: noise(DiagonalBiLSTM(6)(x)))


def noise_on_a_condition_behind_a_minimum(noise):
    point = keras.Input((1, 1, 6), name="point")
    return model_of(lambda x, point: ops.minimum(x, 1e6 + noise(point)), point)


@pytest.mark.parametrize(
    "make, noise, named",
    [
        (noise_in_a_row_that_may_be_guessed, own.Noisy(always=True), "Noisy 'noisy"),
        (noise_in_a_row_that_may_be_guessed, GlobalNoise(), "a graph"),
        (noise_on_a_condition_behind_a_minimum, own.Noisy(always=True), "Noisy 'noisy"),
    ],
)
def test_noise_that_the_check_may_not_see_is_refused(make, noise, named):
    model = make(noise)
    given = np.zeros((1, 1, 1, 6)) if len(model.inputs) > 1 else None
    with pytest.raises(ValueError, match=f"from its seed.*Received: {named}"):
        model.generate(1, conditions=given)


class Reversed(keras.Operation):
    """An operation that mixes pixels, whose class is renamed to one of Keras'."""

    def __init__(self):
        super().__init__()
        self.axis, self.keepdims = -1, True

    def call(self, inputs):
        return ops.flip(inputs, axis=2)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


@pytest.mark.parametrize("name", ["Add", "Softmax", "Mean", "ConvertToTensor"])
def test_operations_that_are_called_as_those_of_keras_are_refused(name):
    operation = type(name, (Reversed,), {})()
    with pytest.raises(Refusal, match=f"{name} '.*is not known to be causal"):
        Program(model_of(operation))


class Halved(keras.Operation):
    """An operation on each pixel alone, whose class is renamed to one of Keras'."""

    pointwise = True

    def call(self, inputs, *others):
        return inputs / 2 - sum(others)

    def compute_output_spec(self, inputs, *others):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


def test_pointwise_operations_that_are_called_as_those_of_keras_compute_their_own():
    """A sum of products would become one product, and a bias pass through a ReLU."""
    add, relu = (type(name, (Halved,), {})() for name in ("Add", "Relu"))

    def body(x):
        difference = add(layers.Dense(5)(x), layers.Dense(5)(x))
        return layers.Dense(6)(relu(layers.Dense(3)(difference)))

    assert_sampled_as_computed(model_of(body))


class Flipped(AutoregressiveModel):
    """A model whose `call` mixes pixels, with a class renamed to one of Keras'."""

    def call(self, inputs, training=None, mask=None):
        return ops.flip(super().call(inputs, training, mask), axis=2)


@pytest.mark.parametrize("name", ["Functional", "Sequential", "GenerativeModel"])
def test_models_that_are_called_as_those_of_keras_are_refused(name):
    images = keras.Input(SHAPE)
    logits = MaskedConv2D(1, 3, "A")(images)
    kind = type(name, (Flipped,), {"call": Flipped.call})
    with pytest.raises(Refusal, match=f"{name} '.*computes more than its graph"):
        Program(kind(images, logits, "bernoulli"))


@pytest.mark.parametrize(
    "images_dtype, dtype", [("float32", "mixed_bfloat16"), ("float64", "float32")]
)
def test_layers_cast_what_they_are_given(images_dtype, dtype):
    def body(x):
        x = ops.cast(x, images_dtype)
        return ops.cast(own.Above(dtype=dtype)(x) - own.Left(dtype=dtype)(x), "float32")

    model = model_of(body)
    model.check_causality = False  # This saves checks.
    assert_ancestral(model, model.generate(4, seed=0), slack=0.06)


@pytest.mark.parametrize("copies", [2, 3])
def test_a_carry_and_a_constant_added_to_themselves(copies):
    """TensorFlow's optimizer makes the result of such a loop empty."""
    model = model_of(lambda x: layers.Add()([own.Left()(x, offset=0.5)] * copies))
    assert_ancestral(model, model.generate(4, seed=0))


def block_with_lora(x):
    block = ResidualMaskedConvBlock(3)
    outputs = block(x)
    for layer in block._flatten_layers():
        if isinstance(layer, MaskedConv2D):
            layer.enable_lora(1)
    return outputs


def own_weights_and_lora(x):
    """Its own weights are float32 and must be read as bfloat16."""
    gated = Gated()
    outputs = gated(x)
    gated.dense.enable_lora(2)
    return outputs["content"] * outputs["gate"]


def layer_and_operation_of_one_name(x):
    return layers.Multiply()([x, 2 * x]) + layers.Add()([x, x])


@pytest.mark.slow
@pytest.mark.parametrize("body", [block_with_lora, layer_and_operation_of_one_name])
def test_a_model_in_half_precision_has_a_twin_in_float32(body):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = model_of(body)
    assert_ancestral(model, model.generate(4, seed=0), slack=0.06)


def test_a_composite_layer_without_a_twin_reads_its_weights_in_half_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = model_of(own_weights_and_lora)
    assert in_float32(model) is None
    assert_sampled_as_computed(model)


def test_a_constant_of_columns_that_keras_adds_to_rows():
    """Before Keras 3.16, `ops.add` takes it for a bias of channels-first data."""
    column = np.linspace(-3, 3, 4, dtype="float32").reshape(1, 1, 4, 1)
    model = model_of(lambda x: x + column, shape=(4, 4, 1))
    zeros = np.zeros((1, 4, 4, 1), "float32")
    if (np.asarray(ops.add(zeros, column)) == zeros + column).all():
        assert_sampled_as_computed(model)
        return
    with pytest.raises(ValueError, match="Add 'add"):
        model.generate(1, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_all_of_them_in_one_graph(jit_compile):
    def joined(x):
        outputs = [layers.Dense(6)(body(x)) for body in GRAPHS.values()]
        return layers.Average()(outputs)

    model = model_of(joined)
    assert_ancestral(model, model.generate(16, seed=0, jit_compile=jit_compile))


def test_nested_models_are_exported(tmp_path):
    inputs = keras.Input((*SHAPE[:2], 6))
    inner = keras.Model(inputs, layers.Dense(6)(inputs))
    model = model_of(keras.Sequential([inner, layers.ReLU()]))
    assert_served_as_drawn(model, tmp_path / "model")


class MyAdd(layers.Add):
    def call(self, inputs):
        return inputs[0] - 2 * inputs[1]


class MyDropout(layers.Dropout):
    def call(self, inputs, training=False):
        return 2 * inputs


def flat_and_back(x):
    return layers.Reshape((*SHAPE[:2], 6))(layers.Flatten()(x))


def centered(x):
    return x - ops.mean(x, axis=1, keepdims=True)


# Bodies by the class or name of the layer that is refused.
CAUSAL = {
    "Reshape": lambda x: layers.Reshape((*SHAPE[:2], 6))(x),
    "Flatten": flat_and_back,
    "AveragePooling2D": lambda x: layers.AveragePooling2D(1)(x),
    "PReLU": lambda x: layers.PReLU()(x),
    "Rescaling": lambda x: layers.Rescaling(np.ones((5, 4, 6)))(x),
    "MyConv2D": lambda x: MyConv2D(6, 1)(x),
    "Concatenate": lambda x: ops.glu(ops.concatenate([x, x], 2), axis=2),
    "Clip": lambda x: ops.clip(x, np.zeros((4, 6)), np.ones((4, 6))),
    "Clip 'clip": lambda x: ops.clip(x, [[0.0] * 6] * 4, [[1.0] * 6] * 4),  # Lists.
}
UNCHECKED = {
    "Conv2D": lambda x: layers.Conv2D(6, 3, padding="same")(x),
    "BatchNormalization": lambda x: layers.BatchNormalization()(x, training=True),
    "SpatialDropout2D": lambda x: layers.SpatialDropout2D(0.1)(x, training=True),
    "MultiHeadAttention": lambda x: layers.MultiHeadAttention(1, 2)(x, x),
    "LayerNormalization": lambda x: layers.LayerNormalization((1, 2))(x),
    "RMSNormalization": lambda x: layers.RMSNormalization(axis=1)(x),
    "Softmax": lambda x: layers.Softmax(axis=1)(x),
    "Flip": lambda x: ops.flip(x, axis=1),
    "GetItem": lambda x: x[:, :, ::-1],
    "Mean": lambda x: ops.mean(x, axis=1, keepdims=True) + x,
    # Subclasses that are not sampled as their base.
    "OtherConvolution": lambda x: own.OtherConvolution(6, 3, "B")(x),
    "MyAdd": lambda x: MyAdd()([x, x]),
    "MyDropout": lambda x: MyDropout(0.5)(x),
    # Activations that see other pixels.
    "triu": layers.Activation(ops.triu, name="triu"),
    "cumsum": layers.Activation(ops.cumsum, name="cumsum"),
    "centered": layers.Activation(centered, name="centered"),
}
ADVICE = {
    "Reshape": "keep the map's axes",
    "Flatten": "keep the map's axes",
    "Conv2D": "use MaskedConv2D",
    "BatchNormalization": "training=False",
    "SpatialDropout2D": "training=True",
}


@pytest.mark.parametrize("kind", [*CAUSAL, *UNCHECKED])
def test_other_layers_are_refused_by_name(kind):
    model, advice = model_of({**CAUSAL, **UNCHECKED}[kind]), ADVICE.get(kind, "")
    with pytest.raises(ValueError, match=f"(?s){kind}.*{advice}") as caught:
        model.generate(1, seed=0)
    # It recommends other samplers only for graphs that it does not find wrong.
    assert ("fixed_point" in str(caught.value)) == (kind in CAUSAL)


@pytest.mark.filterwarnings("ignore:.*does not support masking")
def test_a_mask_is_not_dropped():
    """The sampler cannot repeat what a causal layer does with it."""
    model = model_of(lambda x: TakesTraining()(x, mask=x > 0))
    shapes = r"\(None, 5, 4, 6\), \(None, 5, 4, 6\)"  # Those of input and mask.
    with pytest.raises(ValueError, match=f"TakesTraining.*not take.*mask.*{shapes}"):
        model.generate(1, seed=0)


class OwnModel(layers.Layer):
    """Passes its input through a functional model."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs)


@pytest.mark.parametrize("kind", ["Conv2D", "GaussianDropout"])
@pytest.mark.parametrize("wrap", [lambda x: x, OwnModel])
def test_layers_of_nested_models_are_refused_as_others(kind, wrap):
    inputs = keras.Input((*SHAPE[:2], 6))
    if kind == "Conv2D":
        outputs = layers.Conv2D(6, 1, groups=2)(inputs)
    else:
        outputs = layers.GaussianDropout(0.5)(inputs, training=True)
    inner = keras.Model(inputs, outputs, name="inner")
    with pytest.raises(Refusal, match=f"{kind} '") as caught:
        model_of(wrap(inner)).generate(1, seed=0)
    # The layer is to blame, not the model around it.
    assert "'inner'" not in str(caught.value)
    assert caught.value.depends_on_batch == (kind != "Conv2D")
    # No other sampler repeats noise.
    assert ("fixed_point" in str(caught.value)) == (kind == "Conv2D")


def test_a_model_with_a_call_of_its_own_is_refused():
    class Twice(AutoregressiveModel):
        def call(self, inputs, training=None, mask=None):
            return 2 * super().call(inputs, training, mask)

    model = model_of(lambda x: x)
    model = Twice(model.inputs[0], model.outputs[0])
    with pytest.raises(ValueError, match="Twice.*more than its graph"):
        model.generate(1, seed=0)


def test_what_finished_rows_decide_is_computed_once_a_row():
    program = Program(model_of(vertical))
    levels = {step.operation.name: step.level for step in program.instructions}
    for name in ("once", "between", "twice"):
        assert levels[name] == Level.ROWS
    assert list(levels.values()).count(Level.PIXEL) >= 3
    color = model_of(lambda x: own.Above()(x) + x, shape=(3, 4, 3))
    assert_sampled_as_computed(color)


def test_operations_of_a_pixel_cnn():
    model = PixelCNN((4, 4, 1), units=3, num_blocks=3, head_filters=5)

    @tf.function
    def run_of(images):
        plan = rewritten(Plan.of(model))
        values = PlanValues.of(plan, images, [], fused=True)
        for step in plan.pixel_steps:
            if isinstance(step.pixel, Linear):
                kernel, bias = values.weights[step]
                products.append((tuple(kernel.shape), bias is not None))

    products = []
    run_of(tf.zeros((4, 4, 2, 1)))
    # Before a convolution and at the end, biases are added. The skip connections read
    # the first convolution and what the blocks add, not their sums.
    block = [((6, 3), True), ((3, 6), False)]
    head = [((6 + 3 * 3, 6), False), ((6, 5), False), ((5, 5), False), ((5, 1), True)]
    assert products == [*block, *block, block[0], *head]


@pytest.mark.slow
def test_weights_are_not_passed_through_the_loops_one_by_one():
    """Each would cost as much as a small operation, for every pixel."""

    def num_inputs(num_blocks):
        draw = incremental_sampler(PixelCNN((6, 6, 1), 8, num_blocks))
        drawn = tf.function(lambda uniforms: draw(uniforms, tf.constant(1.0), []))
        graph = drawn.get_concrete_function(tf.TensorSpec((None, 6, 6, 1))).graph
        functions = graph.as_graph_def().library.function
        nodes = [node for function in functions for node in function.node_def]
        return [len(node.input) for node in nodes if node.op.endswith("While")]

    # Over the pixels of a row, and over guesses of it. A block adds its window.
    few, many = sorted(num_inputs(2)), sorted(num_inputs(6))
    assert len(few) == 2 and np.subtract(many, few).tolist() == [4, 4]


class PreparesMore(MaskedConv2D):
    """Layer that prepares tensors of one static shape and of different lengths."""

    def prepare(self, fused):
        kernel = self.masked_kernel(self.kernel)
        more = {"where": (tf.where(kernel > 0), tf.where(kernel <= 0), None)}
        return {**super().prepare(fused), **more}

    def step(self, weights, *arguments):
        outputs, carry, kept = super().step(weights, *arguments)
        positive, negative, _ = weights["where"]
        total = tf.shape(positive)[0] + tf.shape(negative)[0]
        return outputs * tf.cast(total / tf.size(self.mask[:2]), "float32"), carry, kept


def test_layers_may_prepare_tensors_of_unknown_shapes():
    model = model_of(PreparesMore(6, 3, "B"))
    assert_ancestral(model, model.generate(3, seed=0))


# Keras warns of layers that stay as they are; the second text is that of 3.16.
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.filterwarnings("ignore:.*skipped because they do not support quantization")
def test_quantized_layers_are_sampled_as_they_compute():
    images = keras.Input(SHAPE)
    x = MaskedConv2D(6, 3, "A")(images)
    x = MaskedConv2D(6, 3, "B", activation="tanh")(x)
    x = layers.Dense(256)(layers.Dense(12, activation="relu")(x))
    model = AutoregressiveModel(images, SplitColors(1)(x), "categorical")
    randomize(model)
    model.check_causality = False  # This saves checks.
    before = model.generate(16, seed=0)
    model.quantize("int8")
    assert_sampled_as_computed(model)
    # A sampler made before must not go on drawing.
    drawn = model.generate(16, seed=0)
    assert_ancestral(model, drawn)
    assert (drawn != before).any() and 50 < drawn.mean() < 200


class Shifted(layers.Layer):
    """A layer with a number of its own, a list of them, and an inner layer."""

    pointwise = True

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.LeakyReLU(negative_slope=0.1)
        self._shifts = [0.0, 0.5]

    def call(self, inputs):
        return self.inner(inputs) + self._shifts[0] + self._shifts[1]


NO_ROW_ABOVE = np.float32([[0, 0, 0], [1, 1, 0], [0, 0, 0]]).reshape(3, 3, 1, 1)
# Layer, and what changes of it: a function, a number, an array, a list, an inner layer.
CHANGES = {
    "activation": (layers.Activation("tanh"), "activation", keras.activations.relu),
    "none": (layers.Dense(6, "relu"), "activation", None),
    "scale": (layers.Rescaling(1.0), "scale", -2.0),
    "mask": (MaskedConv2D(6, 3, "B"), "mask", NO_ROW_ABOVE),
    "list": (Shifted(), "_shifts", [0.0, -2.0]),
    "inner": (Shifted(), "negative_slope", -1.0),
}


@pytest.mark.parametrize("name", slow_but(CHANGES, "none", "mask", "list"))
def test_functions_are_made_anew_when_layers_change(name):
    layer, attribute, value = CHANGES[name]
    model = model_of(layer)
    model.check_causality = False  # This saves checks.
    images = model.generate(8, seed=0)
    nats = model.log_prob(images)
    assert model.log_prob(images).tolist() == nats.tolist()
    setattr(layer.inner if name == "inner" else layer, attribute, value)
    params = model(tf.cast(images, "float32"), training=False)
    expected = model.likelihood.log_prob_of_images(params, images)
    assert (np.abs(expected - nats) > 1e-3).any()
    np.testing.assert_allclose(model.log_prob(images), expected, rtol=1e-4)
    assert_ancestral(model, model.generate(8, seed=0))
