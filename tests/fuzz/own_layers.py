"""Layers as users write them: right ones, odd ones and wrong ones."""

import keras
import tensorflow as tf
from keras import layers, ops

from keras_genimg.layers import (
    CausalLayer,
    DiagonalBiLSTM,
    DRAWCell,
    MaskedConv2D,
    ResidualMaskedConvBlock,
)


class _SameShape(layers.Layer):
    def compute_output_shape(self, input_shape):
        return input_shape


# Functions.


def softsign(x):
    return tf.nn.softsign(x)


def shifted(x):
    return ops.relu(x) - 0.1


def lower(x):
    return ops.tril(x)


def upper(x):
    return ops.triu(x)


def sorted_channels(x):
    return ops.sort(x, axis=-1)


def rolled(x):
    return ops.roll(x, -1, axis=2)


def sums_of_batch(x):
    return tf.cumsum(x)


# Causal or pointwise.


class Doubled(layers.Layer):
    """A pointwise layer with an argument."""

    pointwise = True

    def call(self, inputs, factor=2.0):
        return factor * inputs


class Faded(layers.Layer):
    """A pointwise layer that computes something else in training, its default."""

    pointwise = True

    def call(self, inputs, training=True):
        return inputs * (0.1 if training else 1.0)


class Settings(layers.Layer):
    """A pointwise layer whose numbers lie in a dict, a list, an array and a property.

    Its name for the slope is one that Keras' layers use.
    """

    pointwise = True

    def __init__(self, numbers=None, negative_slope=0.3, **kwargs):
        super().__init__(**kwargs)
        self.numbers = numbers or {"scale": 1.5, "shift": [0.5, -0.25]}
        self.negative_slope = negative_slope

    @property
    def shift(self):
        return sum(self.numbers["shift"])

    def call(self, inputs):
        scaled = inputs * self.numbers["scale"] + self.shift
        return ops.maximum(scaled, self.negative_slope * scaled)

    def get_config(self):
        config = {"numbers": self.numbers, "negative_slope": self.negative_slope}
        return {**super().get_config(), **config}


class Above(CausalLayer, _SameShape):
    """The row above."""

    sees_current_row = False

    def call(self, inputs):
        return ops.pad(inputs, [[0, 0], [1, 0], [0, 0], [0, 0]])[:, :-1]

    def initial_cache(self, weights, batch, width, channels):
        return (tf.zeros((width, batch, channels), self.compute_dtype),)

    def begin_row(self, weights, cache):
        return (), cache

    def end_row(self, weights, cache, kept):
        return kept


class Left(CausalLayer, _SameShape):
    """The pixel to the left, plus a constant that its call is given."""

    def call(self, inputs, offset=0.0):
        return ops.pad(inputs, [[0, 0], [0, 0], [1, 0], [0, 0]])[:, :, :-1] + offset

    def initial_cache(self, weights, batch, width, channels):
        return (tf.zeros((batch, channels), self.compute_dtype),)

    def begin_row(self, weights, cache):
        return cache, ()

    def step(self, weights, carry, row, inputs, offset=0.0):
        return carry[0] + offset, (inputs,), ()


class Sides(Above):
    """The pixel, plus those at a distance on both sides of the one above."""

    sees_current_row = True
    distance = reach = 1

    def call(self, inputs):
        sides, width = [self.distance] * 2, ops.shape(inputs)[2]
        above = ops.pad(inputs, [[0, 0], [1, 0], sides, [0, 0]])[:, :-1]
        return inputs + above[:, :, :width] + above[:, :, -width:]

    def begin_row(self, weights, cache):
        width = ops.shape(cache[0])[0]
        above = tf.pad(cache[0], [[self.distance] * 2, [0, 0], [0, 0]])
        return (), (above[:width] + above[-width:],)

    def step(self, weights, carry, row, inputs):
        return inputs + row[0], (), (inputs,)


class Tuned(MaskedConv2D):
    """A subclass that computes what its base computes."""

    def __init__(self, *args, activation="tanh", **kwargs):
        super().__init__(*args, activation=activation, **kwargs)


class _Colored(layers.Layer):
    """A layer of masked convolutions."""

    def __init__(self, channels, colors, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.colors = channels, colors

    def masked(self, kernel_size):
        options = {"num_colors": self.colors, "dtype": self.dtype_policy}
        return MaskedConv2D(self.channels, kernel_size, "B", **options)

    def get_config(self):
        config = {"channels": self.channels, "colors": self.colors}
        return {**super().get_config(), **config}


class Composite(_Colored):
    """A layer of layers with constants, an optional tensor and two outputs."""

    def __init__(self, channels, colors, **kwargs):
        super().__init__(channels, colors, **kwargs)
        self.first, self.second = self.masked(3), self.masked(1)

    def build(self, inputs_shape, gate_shape=None):
        self.first.build(inputs_shape)
        self.second.build(inputs_shape)

    def call(self, inputs, scale=1.0, *, gate=None, negate=False):
        x = self.first(inputs) * scale
        if gate is not None:
            x = x * ops.sigmoid(self.second(gate))
        return (-x if negate else x), ops.tanh(x)


class Halved(ResidualMaskedConvBlock):
    """A composite subclass that computes something else, and can be traced."""

    def call(self, inputs, condition=None):
        return 0.5 * super().call(inputs, condition)


class Stacked(_SameShape, _Colored):
    """A layer of layers in a list and a dict, one of which is used twice."""

    def __init__(self, channels, colors, **kwargs):
        super().__init__(channels, colors, **kwargs)
        self.steps = [self.masked(1) for _ in range(2)]
        self.named = {"last": self.masked((3, 1))}

    def build(self, input_shape):
        for layer in [*self.steps, self.named["last"]]:
            layer.build(input_shape)

    def call(self, inputs):
        x = inputs
        for layer in [*self.steps, self.steps[0]]:
            x = ops.tanh(layer(x))
        return self.named["last"](x)


# Causal, but not by what the sampler can know. The first two change what their base
# computes.


class OtherCall(DiagonalBiLSTM):
    def call(self, inputs, condition=None):
        return 2 * super().call(inputs, condition)


class OtherConvolution(MaskedConv2D):
    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel) - 1


class Sums(_SameShape):
    """Sums of the row so far, of no kind that the sampler knows."""

    def call(self, inputs):
        return ops.cumsum(inputs, axis=2) * 0.3


class WrongStep(Left):
    """A layer whose `step` computes something else than its `call`."""

    def step(self, weights, carry, row, inputs, offset=0.0):
        return carry[0] * 0.5 + offset, (inputs,), ()


class WrongReach(Sides):
    """Sees columns that its `reach` leaves out."""

    distance = 2


class ReadsItself(Left):
    """Claims to see pixels to the left, and sees its own one with half the weight."""

    def call(self, inputs, offset=0.0):
        return super().call(inputs, offset) + 0.5 * inputs

    def step(self, weights, carry, row, inputs, offset=0.0):
        return carry[0] + offset + 0.5 * inputs, (inputs,), ()


# Not causal, not pointwise, or not a function of one image.


class PretendsPointwise(_SameShape):
    """Sets `pointwise`, and takes a mean of the row."""

    pointwise = True

    def call(self, inputs):
        return inputs - ops.mean(inputs, axis=2, keepdims=True)


class Mirror(_SameShape):
    def call(self, inputs):
        return inputs + 0.5 * ops.flip(inputs, axis=2)


class BatchMean(_SameShape):
    def call(self, inputs):
        return inputs - ops.mean(inputs, axis=0, keepdims=True)


class BatchScale(_SameShape):
    """Divides by the root mean square of batch and places."""

    def call(self, inputs):
        axes = tuple(range(len(inputs.shape) - 1))
        square = ops.mean(ops.square(inputs), axis=axes, keepdims=True)
        return inputs / ops.sqrt(square + 0.1)


class Neighbor(_SameShape):
    def call(self, inputs):
        return inputs + 0.5 * ops.roll(inputs, 1, axis=0)


class Noisy(_SameShape):
    """Adds noise, in training or always."""

    pointwise = True

    def __init__(self, always=False, **kwargs):
        super().__init__(**kwargs)
        self.always = always
        self.seed_generator = keras.random.SeedGenerator(7)

    def call(self, inputs, training=None):
        if not (training or self.always):
            return inputs
        noise = keras.random.normal(ops.shape(inputs), seed=self.seed_generator)
        return inputs + ops.cast(noise, inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "always": self.always}


# On conditions.


class Sketch(layers.Layer):
    """One step of DRAW on a map, with noise given as a vector."""

    def __init__(self, shape, **kwargs):
        super().__init__(**kwargs)
        self.shape = tuple(shape)
        self.cell = DRAWCell(self.shape, 4, 2, 2, 2, dtype="float32")

    def build(self, inputs_shape, noise_shape):
        self.cell.build()

    def call(self, inputs, noise):
        _, states = self.cell(noise, self.cell.initial_states(inputs))
        return ops.reshape(states[1], (-1, *self.shape))

    def compute_output_shape(self, inputs_shape, noise_shape):
        return inputs_shape

    def get_config(self):
        return {**super().get_config(), "shape": self.shape}


# Layers that act in training alone.


class Ahead(_SameShape):
    """Gives each pixel the features of the next one, in training."""

    pointwise = True

    def call(self, inputs, training=False):
        return tf.roll(inputs, -1, axis=2) if training else inputs


class Shaken(_SameShape):
    """Adds noise of TensorFlow's own generator, in training."""

    pointwise = True

    def call(self, inputs, training=False):
        return inputs + tf.random.normal(tf.shape(inputs)) if training else inputs


# A model of its own `call` as a layer.


MODES = "linear", "tanh"


class Block(keras.Model):
    """A convolution with attributes, which a user may change, and a block inside.

    Args:
        channels: Number of channels.
        colors: Number of colors.
        scale: Factor of the convolution.
        depth: Number of blocks, one inside of another.
        mode: One of `MODES`.
        leak: Factor of the next pixel, which makes it a layer that leaks.
        training_leak: The same, in training alone.
    """

    def __init__(
        self,
        channels,
        colors,
        scale=1.5,
        depth=1,
        mode="linear",
        leak=0.0,
        training_leak=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.channels, self.colors, self.scale = channels, colors, scale
        self.depth, self.mode = depth, mode
        self.leak, self.training_leak = leak, training_leak
        self.convolution = MaskedConv2D(channels, 3, "B", colors)
        self.inner = Block(channels, colors, 0.5, depth - 1) if depth > 1 else None

    def call(self, inputs, training=False):
        # For Keras 3.15, a symbolic tensor times a number is sparse, and a block inside
        # of another cannot be called on it. The sum is dense again.
        x = self.convolution(inputs) * self.scale + 0.0
        if self.inner is not None:
            x = self.inner(x, training=training)
        leak = self.leak + (self.training_leak if training else 0)
        if leak:
            x = x + leak * tf.roll(x, -1, axis=2)
        return ops.tanh(x) if self.mode == "tanh" else x

    def get_config(self):
        names = "name channels colors scale depth mode leak training_leak".split()
        return {name: getattr(self, name) for name in names}


# Registered, so that models with them can be loaded.
for _name, _made in list(vars().items()):
    if not _name.startswith("_") and getattr(_made, "__module__", None) == __name__:
        keras.saving.register_keras_serializable("fuzz")(_made)
