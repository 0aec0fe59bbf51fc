"""The sampler compiles a layer correctly, or refuses it by name."""

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
    SplitColors,
)
from keras_genimg.models import AutoregressiveModel
from keras_genimg.sampling.program import Level, Program
from tests.fuzz.own_layers import Above
from tests.sampling.drawn import assert_ancestral, write_sample_endpoint
from tests.sampling.forced import assert_sampled_as_computed

SHAPE = (4, 5, 1)


def model_of(body, shape=SHAPE):
    """Return a model with random weights whose middle is `body`."""
    images = keras.Input(shape, name="images")
    x = body(MaskedConv2D(6, 3, "A", num_colors=shape[-1])(images))
    logits = MaskedConv2D(shape[-1], 1, "B", num_colors=shape[-1], dtype="float32")(x)
    model = AutoregressiveModel(images, logits, "bernoulli")
    randomize(model)
    return model


class Scaled(layers.Layer):
    """A layer of layers whose call takes a constant and a tensor by keyword."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(6)

    def call(self, inputs, scale=1.0, shift=None):
        outputs = self.dense(inputs) * scale
        return outputs if shift is None else outputs - ops.tanh(shift)


class Difference(layers.Layer):
    """A layer of layers of two tensors, whose names are not in alphabetical order."""

    def __init__(self):
        super().__init__()
        self.convolution = MaskedConv2D(6, 3, "B")

    def call(self, inputs, b, a):
        return inputs + self.convolution(b) - 2 * a


class Gated(layers.Layer):
    """A layer of layers with two outputs, and weights besides those of its layers."""

    def __init__(self, as_dict=False):
        super().__init__()
        self.as_dict = as_dict
        self.dense = layers.Dense(12)

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.log_scale = self.add_weight(shape=(6,), initializer="ones")

    def call(self, inputs):
        content, gate = ops.split(self.dense(inputs), 2, axis=-1)
        content = content * ops.exp(self.log_scale)
        if self.as_dict:
            return {"content": content, "gate": ops.sigmoid(gate)}
        return content, ops.sigmoid(gate) * self.log_scale


class LearnedMap(layers.Layer):
    """A layer of layers that adds a map of weights."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(6)

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.bias_map = self.add_weight(shape=(1, *SHAPE[:2], 6))

    def call(self, inputs):
        return self.dense(inputs) + self.bias_map


def keyword_tensor(x):
    a, b = layers.Dense(6)(x), DiagonalBiLSTM(6)(x)
    return Difference()(x, b=b, a=a)


def nested_functional(x):
    inputs = {name: keras.Input((*SHAPE[:2], 6), name=name) for name in ("q", "p")}
    outputs = {
        "sum": inputs["p"] * 3 + inputs["q"],
        "first": layers.ReLU()(inputs["p"]),
    }
    inner = keras.Model(inputs, outputs)
    outputs = inner({"p": x, "q": layers.Dense(6)(x)})
    return outputs["sum"] - 2 * outputs["first"]


def nested_sequential(x):
    inner = keras.Sequential([layers.Dense(6), MaskedConv2D(6, 3, "B"), layers.ReLU()])
    outer = keras.Sequential([inner, layers.Dense(6)])
    return outer(x) + inner(x)


def gated(x):
    content, gate = Gated()(x)
    named = Gated(as_dict=True)(x)
    return content * gate + named["gate"] * named["content"]


COMPILED = {
    "constant_by_keyword": lambda x: Scaled()(x, scale=-5.0),
    "tensor_by_keyword": lambda x: Scaled()(x, shift=layers.Dense(6)(x), scale=2.0),
    "tensors_out_of_order": keyword_tensor,
    "shared_composite": lambda x: (lambda block: block(block(x), scale=0.5))(Scaled()),
    "several_outputs": gated,
    "nested_functional": nested_functional,
    "nested_sequential": nested_sequential,
    "map_of_weights": lambda x: LearnedMap()(x),
    "prelu": lambda x: layers.PReLU(shared_axes=[1, 2])(x),
    "rms_normalization": lambda x: layers.RMSNormalization()(x),
    "channel_operations": lambda x: (
        ops.softmax(x[..., 1:5], axis=3) * ops.mean(x, axis=-1, keepdims=True)
    ),
    "constants": lambda x: ops.where(x > 0, x * np.arange(1.0, 7, dtype="float32"), -x),
    "map_of_numbers": lambda x: x * np.ones((1, *SHAPE[:2], 6), "float32") * 2,
    "broadcast_sum": lambda x: layers.Add()([x, layers.Dense(1)(x)]),
    "activation": lambda x: MaskedConv2D(6, 3, "B", activation=lambda y: y * y - 1)(x),
}


@pytest.mark.parametrize("body", COMPILED.values(), ids=COMPILED)
def test_compiles_what_the_graph_computes(body):
    assert_sampled_as_computed(model_of(body))


def test_compiles_all_of_them_in_one_graph():
    def joined(x):
        outputs = [layers.Dense(6)(body(x)) for body in COMPILED.values()]
        return layers.Average()(outputs)

    model = model_of(joined)
    assert_ancestral(model, model.generate(16, seed=0))


def test_nested_models_are_exported(tmp_path):
    model = model_of(lambda x: nested_sequential(nested_functional(x)))
    write_sample_endpoint(model, tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    images = loaded.signatures["sample"](seed=tf.range(4, dtype=tf.int64))["images"]
    expected = model.likelihood.to_display(model.generate(4, seed=0))
    np.testing.assert_array_equal(images, expected)


class MyConv2D(layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        return 3 * super().convolution_op(inputs, kernel)


class MyMasked(MaskedConv2D):
    def convolution_op(self, inputs, kernel):
        return 3 * super().convolution_op(inputs, kernel)


class MyDiagonal(DiagonalBiLSTM):
    def call(self, inputs, condition=None):
        return -super().call(inputs, condition)


class MyAdd(layers.Add):
    def call(self, inputs):
        return inputs[0] - 2 * inputs[1]


class MyDropout(layers.Dropout):
    def call(self, inputs, training=False):
        return 2 * inputs


class MyBlock(ResidualMaskedConvBlock):
    def call(self, inputs, condition=None):
        return -super().call(inputs, condition)


class Mixin:
    def call(self, inputs):
        return inputs + 1


class MixedReLU(Mixin, layers.ReLU):
    pass


class Renamed(MaskedConv2D):
    """Changes defaults, and nothing that is computed."""

    def __init__(self, filters, kernel_size=3, mask_type="B", **kwargs):
        super().__init__(filters, kernel_size, mask_type, **kwargs)


class VouchedFor(MyConv2D):
    pointwise = True


def patched(x):
    layer = layers.Dense(6, name="patched")
    layer.call = lambda inputs, training=None: 2 * inputs
    return layer(x)


REFUSED = {
    "MyConv2D": lambda x: MyConv2D(6, 1)(x),
    "MyMasked": lambda x: MyMasked(6, 3, "B")(x),
    "MyDiagonal": lambda x: MyDiagonal(6)(x),
    "MyAdd": lambda x: MyAdd()([x, x]),
    "MyDropout": lambda x: MyDropout(0.5)(x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_subclass_is_not_sampled_as_its_base(name):
    model = model_of(REFUSED[name])
    with pytest.raises(ValueError, match=name):
        model.generate(1, seed=0)


@pytest.mark.parametrize(
    "body",
    [
        lambda x: MyBlock(3)(x),
        lambda x: Renamed(6)(x),
        lambda x: VouchedFor(6, 1)(x),
        lambda x: MixedReLU()(x),
        patched,
    ],
    ids=["composite", "defaults", "vouched_for", "mixed", "patched"],
)
def test_a_subclass_that_computes_the_same_is_sampled(body):
    assert_sampled_as_computed(model_of(body))


def test_a_model_with_a_call_of_its_own_is_refused():
    class Twice(AutoregressiveModel):
        def call(self, inputs, training=None, mask=None):
            return 2 * super().call(inputs, training, mask)

    model = model_of(lambda x: x)
    model = Twice(model.inputs[0], model.outputs[0])
    with pytest.raises(ValueError, match="Twice.*more than its graph"):
        model.generate(1, seed=0)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda x: MaskedConv2D(6, 3, "B", activation=tf_activation)(x), "not causal"),
        (lambda x: layers.PReLU()(x), "PReLU"),
        (lambda x: layers.RMSNormalization(axis=1)(x), "RMSNormalization"),
        (lambda x: x[:, :, ::-1], "GetItem"),
        (lambda x: ops.mean(x, axis=1, keepdims=True) + x, "Mean"),
        (lambda x: ops.glu(ops.concatenate([x, x], 2), axis=2), "Concatenate"),
        (lambda x: x + np.ones((5, 6), "float32"), "Add"),
        (lambda x: ops.clip(x, np.zeros((5, 6)), np.ones((5, 6))), "Clip"),
        (lambda x: Scaled(name="outer")(x, training_flag=1), "unexpected"),
        (lambda x: layers.Rescaling(np.ones((4, 5, 6)))(x), "Rescaling"),
    ],
)
def test_what_sees_other_pixels_is_refused(make, text):
    try:
        model = model_of(make)
    except TypeError as error:  # Keras refuses what `call` does not take.
        assert text in str(error)
        return
    with pytest.raises(ValueError, match=text):
        model.generate(1, seed=0)


def tf_activation(x):
    return x - tf.reduce_mean(x, axis=1, keepdims=True)


def vertical(x):
    above = layers.Dense(6, activation="tanh", name="dense")(Above(name="above")(x))
    twice_above = Above(name="twice_above")(above)
    return layers.Add()([MaskedConv2D(6, 3, "B")(x), above * 2, twice_above])


def test_what_finished_rows_decide_is_computed_once_a_row():
    model = model_of(vertical)
    levels = {step.operation.name: step.level for step in Program(model).instructions}
    for name in ("above", "dense", "twice_above"):
        assert levels[name] == Level.ROWS
    assert list(levels.values()).count(Level.PIXEL) >= 3
    assert_sampled_as_computed(model)
    assert_sampled_as_computed(model, jit_compile=True)
    rows_alone = model_of(lambda x: Above()(DiagonalBiLSTM(6)(x)))
    assert_sampled_as_computed(rows_alone)
    color = model_of(lambda x: Above()(x) + x, (3, 4, 3))
    assert_sampled_as_computed(color)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_quantized_layers_are_sampled_as_they_compute():
    images = keras.Input(SHAPE)
    x = DiagonalBiLSTM(6)(MaskedConv2D(6, 3, "A")(images))
    x = layers.Dense(256)(layers.Dense(12, activation="relu")(x))
    model = AutoregressiveModel(images, SplitColors(1)(x), "categorical")
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


def shift(layer):
    layer._shifts = [0.0, -2.0]


def hide_row(layer):
    mask = layer.mask.copy()
    mask[0] = 0
    layer.mask = mask


# Name: (layer, change).
CHANGES = {
    "activation": (
        layers.Activation("tanh"),
        lambda layer: setattr(layer, "activation", keras.activations.relu),
    ),
    "negative_slope": (
        layers.LeakyReLU(negative_slope=0.1),
        lambda layer: setattr(layer, "negative_slope", -1.0),
    ),
    "scale": (layers.Rescaling(1.0), lambda layer: setattr(layer, "scale", -2.0)),
    "epsilon": (
        layers.LayerNormalization(),
        lambda layer: setattr(layer, "epsilon", 9.0),
    ),
    "mask": (MaskedConv2D(6, 3, "B"), hide_row),
    "list": (Shifted(), shift),
    "inner": (
        Shifted(),
        lambda layer: setattr(layer.inner, "negative_slope", -1.0),
    ),
}


@pytest.mark.parametrize("layer, change", CHANGES.values(), ids=CHANGES)
def test_functions_are_made_anew_when_layers_change(layer, change):
    model = model_of(layer)
    images = model.generate(8, seed=0)
    nats = model.log_prob(images)
    assert model.log_prob(images).tolist() == nats.tolist()
    change(layer)
    params = model(tf.cast(images, "float32"), training=False)
    expected = model.likelihood.log_prob_of_images(params, images)
    assert (np.abs(expected - nats) > 1e-3).any()
    np.testing.assert_allclose(model.log_prob(images), expected, rtol=1e-4)
    assert_ancestral(model, model.generate(8, seed=0))
