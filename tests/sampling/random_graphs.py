"""Random functional graphs, each sampled correctly or refused by name.

The tests try a few dozen. To try many:

    python -m tests.sampling.random_graphs --num-graphs 2000
"""

import argparse
import collections

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from keras_genimg.layers import (
    CausalLayer,
    DiagonalBiLSTM,
    MaskedConv2D,
    ResidualLSTMBlock,
    ResidualMaskedConvBlock,
    RowLSTM,
)
from keras_genimg.likelihoods import Bernoulli, Categorical
from keras_genimg.models import AutoregressiveModel
from keras_genimg.networks import likelihood_head
from keras_genimg.sampling import sampler_difference

SIZES = [(2, 3), (3, 2), (2, 2), (1, 4), (4, 1)]
LIMIT = 1e-4


class Composite(layers.Layer):
    """A layer of layers with constants, an optional tensor and two outputs."""

    def __init__(self, channels, colors):
        super().__init__()
        self.first = MaskedConv2D(channels, 3, "B", colors)
        self.second = MaskedConv2D(channels, 1, "B", colors)

    def build(self, inputs_shape, gate_shape=None):
        self.first.build(inputs_shape)
        self.second.build(inputs_shape)

    def call(self, inputs, scale=1.0, *, gate=None, negate=False):
        x = self.first(inputs) * scale
        if gate is not None:
            x = x * ops.sigmoid(self.second(gate))
        return (-x if negate else x), ops.tanh(x)


class Tuned(MaskedConv2D):
    """A subclass that computes what its base computes."""

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("activation", "tanh")
        super().__init__(*args, **kwargs)


class OtherCall(DiagonalBiLSTM):
    """A subclass that computes something else, and must be refused."""

    def call(self, inputs, condition=None):
        return 2 * super().call(inputs, condition)


class OtherConvolution(MaskedConv2D):
    """A subclass that computes something else, and must be refused."""

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel) - 1


class Halved(ResidualMaskedConvBlock):
    """A composite subclass that computes something else, and can be traced."""

    def call(self, inputs, condition=None):
        return 0.5 * super().call(inputs, condition)


class Doubled(layers.Layer):
    """A custom pointwise layer."""

    pointwise = True

    def call(self, inputs, factor=2.0):
        return factor * inputs


class Above(CausalLayer, layers.Layer):
    """The row above."""

    sees_current_row = False

    def call(self, inputs):
        return ops.pad(inputs, [[0, 0], [1, 0], [0, 0], [0, 0]])[:, :-1]

    def compute_output_shape(self, input_shape):
        # Keras takes some products for sparse, and then fails to infer it.
        return input_shape

    def initial_cache(self, weights, batch, width, channels):
        return (tf.zeros((width, batch, channels), self.compute_dtype),)

    def begin_row(self, weights, cache):
        return (), cache

    def end_row(self, weights, cache, kept):
        return kept


class Left(CausalLayer, layers.Layer):
    """The pixel to the left, plus a constant that its call is given."""

    def call(self, inputs, offset=0.0):
        return ops.pad(inputs, [[0, 0], [0, 0], [1, 0], [0, 0]])[:, :, :-1] + offset

    def compute_output_shape(self, input_shape):
        # Keras takes some products for sparse, and then fails to infer it.
        return input_shape

    def initial_cache(self, weights, batch, width, channels):
        return (tf.zeros((batch, channels), self.compute_dtype),)

    def begin_row(self, weights, cache):
        return cache, ()

    def step(self, weights, carry, row, inputs, offset=0.0):
        return carry[0] + offset, (inputs,), ()


class RandomGraph:
    """A random model.

    Args:
        seed: Seed of the graph, its weights and its images.

    Attributes:
        model: The `AutoregressiveModel`.
        must_be_refused: Whether it holds a layer that the sampler cannot know.
    """

    unknown = (OtherCall, OtherConvolution)

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)
        keras.utils.set_random_seed(seed)
        self.colors = int(self.pick([1, 1, 3]))
        self.channels = 2 * self.colors * int(self.pick([1, 2]))
        self.size = SIZES[self.generator.integers(len(SIZES))]
        self.shape = (*self.size, self.colors)
        self.model = self._model()
        # What no output depends on is no part of the model.
        self.must_be_refused = any(
            isinstance(layer, self.unknown) for layer in self.model.layers
        )
        for weight in self.model.weights:
            value = weight.numpy() + self.generator.normal(0, 0.4, weight.shape)
            # A variance below 0 would make the forward pass NaN.
            positive = weight.path.endswith("variance")
            weight.assign(abs(value) if positive else value)

    def pick(self, choices):
        return choices[self.generator.integers(len(choices))]

    def _model(self):
        images = keras.Input(self.shape, name="images")
        label = keras.Input((), dtype="int32", name="label")
        conditional = bool(self.generator.random() < 0.3)
        first = self.pick([MaskedConv2D, RowLSTM])
        self.values = [
            first(self.channels, 3, mask_type="A", num_colors=self.colors)(images)
        ]
        if conditional:
            vector = layers.Embedding(3, self.channels)(label)
            vector = layers.Reshape((1, 1, self.channels))(vector)
            self.values.append(self.value() + vector)
        steps = [name for name in dir(self) if name.startswith("add_")]
        if self.colors == 1:
            steps += [name for name in dir(self) if name.startswith("mix_")]
        for _ in range(self.generator.integers(1, 7)):
            made = getattr(self, self.pick(steps))()
            made = made if isinstance(made, (list, tuple)) else [made]
            self.values.extend(made)
        likelihood = self.pick([Bernoulli(), Categorical(2), Categorical(5)])
        x = self.values[-1]
        for other in self.values[-3:-1]:
            x = self.pick([layers.Add(), layers.Multiply(), layers.Maximum()])(
                [x, other]
            )
        outputs = likelihood_head(x, likelihood, self.colors)
        inputs = [images, label] if conditional else images
        return AutoregressiveModel(inputs, outputs, likelihood)

    def value(self):
        return self.pick(self.values)

    def number(self):
        return float(self.pick([-5.0, 0.5, 3.0]))

    # Each returns maps of `channels` channels, with colors where they were.

    def add_convolution(self):
        size = self.pick([1, 3, (1, 3), (3, 1), 5])
        kind = self.pick([MaskedConv2D, Tuned])
        return kind(self.channels, size, mask_type="B", num_colors=self.colors)(
            inputs=self.value()
        )

    def add_lstm(self):
        kind = self.pick([RowLSTM, DiagonalBiLSTM])
        return kind(self.channels, num_colors=self.colors)(self.value())

    def add_conditioned_lstm(self):
        # A condition is seen without a mask, so that it cannot be made of the image.
        kind = self.pick([RowLSTM, DiagonalBiLSTM])
        condition = np.ones((1, *self.size, 2), "float32") * self.number()
        return kind(self.channels, num_colors=self.colors)(
            self.value(), condition=condition
        )

    def add_block(self):
        kind = self.pick([ResidualLSTMBlock, ResidualMaskedConvBlock, Halved])
        return kind(self.channels // 2, num_colors=self.colors)(self.value())

    def add_composite(self):
        block = Composite(self.channels, self.colors)
        options = [
            {},
            {"scale": self.number()},
            {"gate": self.value(), "negate": True},
            {"scale": self.number(), "gate": self.value()},
        ]
        made = [*block(self.value(), **self.pick(options))]
        # Shared: once more, otherwise.
        return [*made, *block(made[0], scale=self.number(), negate=True)]

    def add_nested(self):
        first = keras.Input((*self.size, self.channels), name="first")
        second = keras.Input((*self.size, self.channels), name="second")
        x = MaskedConv2D(self.channels, 3, "B", self.colors)(first) - 2 * second
        outputs = {"b": x, "a": layers.ReLU()(x) + first}
        nested = keras.Model({"second": second, "first": first}, outputs)
        made = nested({"first": self.value(), "second": self.value()})
        return [made["b"], made["a"]]

    def add_sequence(self):
        nested = keras.Sequential(
            [
                MaskedConv2D(self.channels, 3, "B", self.colors),
                layers.Activation("silu"),
                RowLSTM(self.channels, num_colors=self.colors),
            ]
        )
        return [nested(self.value()), nested(self.value())]

    def add_arithmetic(self):
        a, b = self.value(), self.value()
        return self.pick(
            [
                lambda: a * 2 - b,
                lambda: 1 - a * b,
                lambda: ops.where(a > b, a, self.number()),
                lambda: ops.clip(a, -1.0, 1.0) + ops.exp(-ops.square(b)),
                lambda: ops.maximum(a, b) / (1 + ops.abs(b)),
                lambda: layers.Average()([a, b]),
                lambda: layers.Subtract()([a, b]),
                lambda: a + np.linspace(-1, 1, self.channels).astype("float32"),
                # Plus `b`: Keras takes the product with an array for sparse, and cannot
                # infer the shape of a layer that follows it.
                lambda: b + a * np.full((1, *self.size, self.channels), 2, "float32"),
            ]
        )()

    def add_pointwise(self):
        layer = self.pick(
            [
                layers.LeakyReLU(),
                layers.Dropout(0.5),
                layers.PReLU(shared_axes=[1, 2]),
                layers.BatchNormalization(),
                layers.Rescaling(0.5, -1.0),
                layers.Activation("tanh"),
                layers.Activation(lambda x: ops.relu(x) - 0.1),
                Doubled(),
            ]
        )
        if isinstance(layer, Doubled):
            return layer(self.value(), factor=self.number())
        return layer(self.value())

    def add_shift(self):
        if self.generator.random() < 0.5:
            return layers.ReLU()(Above()(self.value())) + Above()(self.value())
        return Left()(self.value(), offset=self.number())

    def add_unknown(self):
        if self.generator.random() < 0.8:
            return self.add_arithmetic()
        if self.generator.random() < 0.5:
            return OtherCall(self.channels, self.colors)(self.value())
        return OtherConvolution(self.channels, 3, "B", self.colors)(self.value())

    # Each mixes channels, which gray images alone allow.

    def mix_dense(self):
        layer = self.pick(
            [
                lambda: layers.Dense(self.channels, "relu"),
                lambda: layers.Conv2D(self.channels, 1),
                lambda: layers.LayerNormalization(),
                lambda: layers.RMSNormalization(),
                lambda: layers.Softmax(),
            ]
        )()
        return [layer(self.value()), layer(self.value())]

    def mix_channels(self):
        joined = layers.Concatenate()([self.value(), self.value()])
        a, b = ops.split(joined, 2, axis=-1)
        return [
            a * ops.sigmoid(b),
            ops.glu(joined),
            joined[..., 1 : self.channels + 1] - ops.mean(joined, -1, keepdims=True),
        ]

    def mix_sums(self):
        terms = [
            layers.Dense(self.channels, use_bias=bool(n % 2))(self.value())
            for n in range(3)
        ]
        return layers.Add()(terms)

    def images(self, num_images=2):
        """Return random inputs of the model: images, and labels if it takes them."""
        values = self.model.likelihood.num_values
        images = self.generator.integers(values, size=(num_images, *self.shape))
        inputs = [tf.constant(images, tf.float32)]
        if len(self.model.inputs) > 1:
            inputs.append(tf.constant(np.arange(num_images) % 3, tf.int32))
        return inputs


def try_graph(seed):
    """Return "right" or "refused", or raise `AssertionError` with the seed.

    Raises:
        AssertionError: If a graph is sampled wrongly, refused without need, or not
            refused.
    """
    graph = RandomGraph(seed)
    images, *conditions = graph.images()
    try:
        difference = sampler_difference(graph.model, images, conditions).numpy()
    except ValueError as error:
        text = str(error)
        named = "OtherCall" in text or "OtherConvolution" in text
        assert graph.must_be_refused and named, f"seed {seed}: {text}"
        return "refused"
    assert not graph.must_be_refused, f"seed {seed} is not refused"
    assert difference.max() <= LIMIT, f"seed {seed} is sampled wrongly: {difference}"
    return "right"


def main():
    """Try random graphs, and print how many were right and how many refused."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--num-graphs", type=int, default=2000)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.num_graphs)
    progress = keras.utils.Progbar(len(seeds), unit_name="graph")
    outcomes, failures = collections.Counter(), []
    for seed in seeds:
        try:
            outcomes[try_graph(seed)] += 1
        except Exception as error:
            outcomes["failed"] += 1
            failures.append(f"{type(error).__name__}: seed {seed}: {error}")
        keras.backend.clear_session()
        progress.add(1)
    print(dict(outcomes), *failures, sep="\n")
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
