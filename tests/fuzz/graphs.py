"""Random models: graphs over the layers and operations that a user may combine."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from keras_genimg import likelihoods, models
from keras_genimg.layers import (
    DiagonalBiLSTM,
    DRAWLoop,
    GatedHorizontalConv,
    GatedVerticalConv,
    GaussianLatent,
    Latent,
    MaskedConv2D,
    ReadAttention,
    ResidualLSTMBlock,
    ResidualMaskedConvBlock,
    RowLSTM,
    SplitColors,
    WriteAttention,
)
from keras_genimg.networks import likelihood_head
from tests.fuzz import own_layers as own
from tests.fuzz import own_likelihoods

# Square ones too, in which a row can be taken for a column.
SIZES = [(3, 4), (4, 3), (4, 4), (2, 3), (1, 5), (5, 1)]
NUM_CLASSES = 3

# Steps of models for images of any size.
_KINDS = "convolution lstm block gated composite stacked arithmetic shift model far"
ANY_SIZE = [f"add_{kind}" for kind in _KINDS.split()]

# Shapes and dtypes of conditions, as functions of the images' height and width.
CONDITIONS = {
    "label": (lambda h, w: (), "int32"),
    "grid": (lambda h, w: (h, w), "int32"),
    "map": (lambda h, w: (h, w, 2), "float32"),
    "counts": (lambda h, w: (h, w, 2), "uint8"),
    "point": (lambda h, w: (1, 1, 2), "float32"),
    "vector": (lambda h, w: (3,), "float32"),
    "level": (lambda h, w: (1, 1, 1), "float32"),
    "scalar": (lambda h, w: (), "float32"),
}


class RandomGraph:
    """A random model.

    Consecutive seeds go through all kinds of steps, so that each is in a few dozen.

    Args:
        seed: Seed of the graph, its weights and its images.

    Attributes:
        model: The `AutoregressiveModel`.
        step: The kind of step that this seed is for.
        refusable: What the graph holds that the library may refuse, a list of names.
        half: Whether a part computes in half precision.
        any_size: Whether the model takes images of any size.
    """

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)
        keras.utils.set_random_seed(seed)
        self.refusable = []
        self.conditions = {}
        self.step = STEPS[seed % len(STEPS)]
        gray = self.step.startswith("mix_")
        self.half = self.step == "add_half" or self.chance(0.1)
        values = int(self.pick([2, 3, 5]))
        kinds = [likelihoods.Bernoulli(), likelihoods.Categorical(values)]
        self.likelihood = self.pick(kinds)
        if self.chance(0.1) and not self.half:
            self.likelihood = likelihoods.DiscretizedLogisticMixture(4, 2)
        elif self.chance(0.25):
            own = own_likelihoods
            # In half precision, honest draws of coupled colors are not compared well.
            self.likelihood = self.pick(own.INDEPENDENT if self.half else own.RIGHT)()
        if self.step == "bad_likelihood":
            self.likelihood = self.pick(own_likelihoods.WRONG)()
        self.image_colors = 1 if gray else int(self.pick([1, 1, 3]))
        if getattr(self.likelihood, "of_colors", False):
            self.image_colors = 3
        self.colors = self.likelihood.mask_colors(self.image_colors)
        self.channels = 2 * self.colors * int(self.pick([1, 2]))
        self.size = self.pick(SIZES)
        self.shape = (*self.size, self.image_colors)
        chance_of_any = 1.0 if self.step == "add_far" else 0.3
        self.any_size = self.step in ANY_SIZE and self.chance(chance_of_any)
        if self.half and self.step != "add_half":
            keras.mixed_precision.set_global_policy("mixed_bfloat16")
        self.model = self._model()
        if not self.chance(0.15):
            self.randomize_weights()

    def pick(self, choices):
        return choices[self.generator.integers(len(choices))]

    def one_of(self, *makers):
        """Call one of some functions without arguments, and return its result."""
        return self.pick(makers)()

    def chance(self, probability):
        return bool(self.generator.random() < probability)

    def allow(self, name):
        """Note a part that may be refused."""
        self.refusable.append(name)

    # The frame of the graph.

    def _model(self):
        dtype = None
        if self.chance(0.25):
            dtypes = ["uint8", "int32", "int8", "float16", "float64"]
            dtype = self.pick(dtypes + ["bool"] * (self.likelihood.num_values == 2))
        size = (None, None) if self.any_size else self.size
        images = keras.Input((*size, self.image_colors), dtype=dtype, name="images")
        self.image = self._as_float(images, dtype)
        self.values = [self.read()]
        self.apply(self.step)
        special = self.values[-1]
        plain = [name for name in STEPS if name.startswith("add_")]
        if self.colors == 1:
            plain += [name for name in STEPS if name.startswith("mix_")]
        given = [name for name in STEPS if name.startswith("given_")]
        if self.any_size:
            plain, given = ANY_SIZE, []
        for _ in range(self.generator.integers(0, 3)):
            self.apply(self.pick(given if given and self.chance(0.2) else plain))
        if not self.any_size and self.chance(0.06):
            self.apply(self.pick([s for s in STEPS if s not in plain + given]))
        x = special
        for other in self.values[-2:]:
            # No maximum of maps: for max(2 * x, x), TensorFlow 2.21 computes a leaky
            # ReLU in graphs, which is another function for slopes above 1.
            join = self.pick([layers.Add, layers.Multiply, layers.Minimum])
            x = join()([x, other])
        outputs = self.head(x)
        ranges = {"label": (0, NUM_CLASSES - 1)}
        if "label" not in self.conditions or self.chance(0.5):
            ranges = None
        return models.AutoregressiveModel(
            [images, *self.conditions.values()] if self.conditions else images,
            outputs,
            self.likelihood,
            condition_ranges=ranges,
        )

    def _as_float(self, x, dtype):
        """Compute a little in the dtype of the images."""
        if dtype == "bool":
            if self.chance(0.5):
                x = ops.logical_not(x)
        elif dtype is not None and self.chance(0.7):
            x = self.one_of(
                lambda: x - 1,
                lambda: x * 2,
                lambda: x * 100,
                lambda: 3 - x,
                lambda: ops.maximum(x, 1),
                lambda: ops.equal(x, 1),
            )
        if "float" not in x.dtype:
            x = ops.cast(x, "float32")
        if self.chance(0.4):
            x = layers.Rescaling(2.0, -1, dtype="float32")(x)
        return x

    def apply(self, name):
        if name.startswith(("odd_", "bad_")):
            self.allow(name)
        made = getattr(self, name)()
        self.values.extend(made if isinstance(made, (list, tuple)) else [made])

    def head(self, x):
        if self.colors == 1 and isinstance(self.likelihood, likelihoods.Bernoulli):
            if self.image_colors == 1 and self.chance(0.3):
                return layers.Dense(1, dtype="float32")(x)
        if isinstance(self.likelihood, likelihoods.Categorical) and self.chance(0.3):
            filters = self.image_colors * self.likelihood.num_values
            x = MaskedConv2D(filters, 1, "B", self.colors, dtype="float32")(x)
            return SplitColors(self.image_colors, dtype="float32")(x)
        return likelihood_head(x, self.likelihood, self.image_colors)

    def read(self):
        """Return a first map, which no pixel's own color enters."""
        image = self.image
        if self.chance(0.12):
            # Mask A need not be that of the first layer.
            image = ops.tanh(
                self.one_of(
                    lambda: self.masked(image, "B"),
                    lambda: self.lstm()(self.masked(image, "B")),
                    lambda: own.Left()(image),
                    lambda: layers.Rescaling(0.5)(image),
                )
            )
        elif self.chance(0.1) and self.image_colors == 1:
            values = ops.clip(ops.cast(image, "int32"), 0, 4)
            image = layers.Embedding(5, self.channels)(values[..., 0])
            self.allow("an embedding of pixels")
        return self.one_of(
            lambda: self.masked(image, "A"),
            lambda: self.masked(image, "A"),
            lambda: self.lstm(mask_type="A")(image),
            lambda: self.gated(image)[0],
            lambda: self.masked(own.Above()(image), "B"),
            lambda: self.unmasked(own.Left()(image)),
        )

    def value(self):
        return self.pick(self.values)

    def number(self):
        return float(self.pick([-2.0, 0.5, 3.0]))

    # Makers of layers.

    def masked(self, x, mask_type):
        size = self.pick([3, 5, (1, 3), (3, 1)] + [1] * (mask_type == "B"))
        kind = self.pick([MaskedConv2D, MaskedConv2D, own.Tuned])
        return kind(self.channels, size, mask_type=mask_type, num_colors=self.colors)(x)

    def unmasked(self, x):
        """A 1x1 convolution of a map that earlier pixels alone have entered."""
        return layers.Conv2D(self.channels, 1)(x)

    def block(self, kind):
        return kind(self.channels // 2, num_colors=self.colors)

    def lstm(self, **kwargs):
        kind = self.pick([RowLSTM, DiagonalBiLSTM])
        if self.colors == 1 and kwargs.get("mask_type") == "A":
            kind = RowLSTM  # The other reads one pixel, which the mask hides.
        if kind is DiagonalBiLSTM and self.chance(0.3):
            kwargs["num_segments"] = 1
        return kind(self.channels, num_colors=self.colors, **kwargs)

    def gated(self, image, condition=None):
        """Return the horizontal stack and a second layer of it."""
        c, k = self.channels, self.colors
        vertical = GatedVerticalConv(c, 3, "A")(image, condition)
        first = GatedHorizontalConv(c, 3, "A", k)(image, vertical, condition)
        vertical = GatedVerticalConv(c, 3)(vertical, condition)
        return first, GatedHorizontalConv(c, 3, "B", k)(first, vertical, condition)

    def condition(self, *kinds):
        """Return an input of one of the kinds, an old one if there is one."""
        kind = self.pick(kinds)
        if kind not in self.conditions:
            shape, dtype = CONDITIONS[kind]
            made = keras.Input(shape(*self.size), dtype=dtype, name=kind)
            self.conditions[kind] = made
        return self.conditions[kind]

    def as_point(self, vector):
        """Return a vector as a map of one pixel with `channels` channels."""
        vector = layers.Dense(self.channels)(vector)
        return layers.Reshape((1, 1, self.channels))(vector)

    def joined(self, condition):
        """Return a value joined with a map that broadcasts against it."""
        value = self.value()
        return self.one_of(
            lambda: value + condition,
            lambda: condition + value,
            lambda: ops.add(value, condition),
            lambda: layers.Multiply()([value, condition]),
            lambda: value * ops.sigmoid(condition),
            lambda: ops.where(condition > 0, value, condition),
        )

    def on_value_or_condition(self, layer):
        if self.chance(0.5):
            return layer(self.value())
        vector = layers.Dense(self.channels)(self.condition("vector"))
        return self.joined(self.as_point(layer(vector)))

    # Steps for any images. Each returns maps of `channels` channels, with colors where
    # they were.

    def add_convolution(self):
        return self.masked(self.value(), "B")

    def add_lstm(self):
        return self.lstm()(self.value())

    def add_constant_condition(self):
        # A condition is seen without a mask, so that it cannot be made of the image.
        constant = np.ones((1, *self.size, 2), "float32") * self.number()
        return self.lstm()(self.value(), condition=constant)

    def add_block(self):
        kinds = [ResidualLSTMBlock, ResidualMaskedConvBlock, own.Halved]
        return self.block(self.pick(kinds))(self.value())

    def add_lstm_block(self):
        options = {"layer": self.pick(["row", "diagonal"]), "num_colors": self.colors}
        return ResidualLSTMBlock(self.channels // 2, **options)(self.value())

    def add_convolution_block(self):
        block = self.block(ResidualMaskedConvBlock)
        return [block(self.value()), block(self.value())]

    def add_gated(self):
        return self.gated(self.image)

    def add_composite(self):
        block = own.Composite(self.channels, self.colors)
        options = [
            {},
            {"scale": self.number()},
            {"gate": self.value(), "negate": True},
            {"scale": self.number(), "gate": self.value()},
        ]
        made = [*block(self.value(), **self.pick(options))]
        # Shared: once more, otherwise.
        return [*made, *block(made[0], scale=self.number(), negate=True)]

    def add_stacked(self):
        return own.Stacked(self.channels, self.colors)(self.value())

    def add_nested(self):
        size = self.pick([self.size, (None, None)])
        first = keras.Input((*size, self.channels), name="first")
        second = keras.Input((*size, self.channels), name="second")
        x = MaskedConv2D(self.channels, 3, "B", self.colors)(first) - 2 * second
        outputs = {"b": x, "a": [layers.ReLU()(x) + first, ops.tanh(first)]}
        nested = keras.Model({"second": second, "first": first}, outputs)
        made = nested({"first": self.value(), "second": self.value()})
        return [made["b"], *made["a"]]

    def add_nested_twice(self):
        inner = keras.Input((*self.size, self.channels))
        model = keras.Model(inner, ops.tanh(self.masked(inner, "B")))
        outer = keras.Input((*self.size, self.channels))
        model = keras.Model(outer, model(model(outer)) + outer)
        return model(self.value())

    def add_family(self):
        """A model of this library as a layer."""
        likelihood = self.pick(["bernoulli", likelihoods.Categorical(3)])
        options = {"likelihood": likelihood, "head_filters": 6}
        sizes = self.shape, 3, 1
        params = self.one_of(
            lambda: models.PixelCNN(*sizes, first_kernel_size=3, **options),
            lambda: models.GatedPixelCNN(*sizes, **options),
            lambda: models.PixelRNN(*sizes, self.pick(["row", "diagonal"]), **options),
        )(self.image)
        if likelihood != "bernoulli":
            params = ops.tanh(params[..., 0] - params[..., 2])
            self.allow("a slice of parameters")
        return MaskedConv2D(self.channels, 1, "B", self.colors)(params)

    def add_model(self):
        """A block that subclasses `keras.Model`, alone or in another model."""
        sizes = self.channels, self.colors, self.number()
        block = own.Block(*sizes, depth=self.pick([1, 2]), mode=self.pick(own.MODES))
        inner = keras.Input((None, None, self.channels))
        return self.one_of(
            lambda: block(self.value()),
            lambda: [block(self.value()), block(self.value())],
            lambda: keras.Sequential([inner, block, layers.ReLU()])(self.value()),
            lambda: keras.Model(inner, block(inner) - inner)(self.value()),
        )

    def add_far(self):
        """A convolution that sees the future only in images from a size on."""
        if not self.any_size:
            return self.masked(self.value(), "B")
        self.allow("a leak in large images")
        rate = self.pick([5, 6, 8])
        options = {"dilation_rate": rate, "padding": "same"}
        layer = self.one_of(
            lambda: layers.Conv2D(self.channels, 3, **options),
            lambda: layers.DepthwiseConv2D(3, **options),
            lambda: keras.Sequential([layers.Conv2D(self.channels, 3, **options)]),
        )
        return layer(self.value())

    def add_training_noise(self):
        layer = self.one_of(
            lambda: layers.Dropout(0.5),
            lambda: layers.GaussianNoise(0.5),
            lambda: own.Noisy(),
            lambda: own.Shaken(),
        )
        return layer(self.value())

    def add_sequence(self):
        start = self.pick([[], [keras.Input((*self.size, self.channels))]])
        convolution = MaskedConv2D(self.channels, 3, "B", self.colors)
        lstm = RowLSTM(self.channels, num_colors=self.colors)
        parts = [*start, convolution, layers.Activation("silu"), lstm]
        nested = keras.Sequential(parts)
        return [nested(self.value()), nested(self.value())]

    def add_cast(self):
        """A model whose input has another dtype than the map it is given."""
        dtype = self.pick(["int32", "float16", "uint8", "bool"])
        x = keras.Input((*self.size, self.channels), dtype=dtype)
        rescaling = layers.Rescaling(1.5, dtype="float32")
        if self.chance(0.5):
            nested = keras.Sequential([x, rescaling])
        else:
            nested = keras.Model(x, rescaling(x))
        # In the range of the dtype: a cast of other numbers is undefined.
        return nested(ops.minimum(3 * ops.abs(self.value()), 100))

    def add_arithmetic(self):
        a, b = self.value(), self.value()
        return self.one_of(
            lambda: a * 2 - b,
            lambda: 1 - a * b,
            lambda: self.larger(a, b),
            lambda: ops.clip(a, -1.0, 1.0) + ops.exp(-ops.square(b)),
            lambda: ops.minimum(a, b) / (1 + ops.abs(b)),
            lambda: layers.Average()([a, b]),
            lambda: layers.Subtract()([a, b]),
            lambda: layers.Minimum()([a, b]),
            lambda: ops.arctan2(a, 1 + ops.abs(b)),
            lambda: ops.cast(ops.cast(3 * a, "int32"), a.dtype) / 3,
        )

    def larger(self, a, b):
        self.allow("a threshold, which rounding may cross")
        return ops.where(a > b, a, self.number())

    def add_constant(self):
        h, w = self.size
        shapes = [(self.channels,), (1, 1, 1, self.channels), (1, h, w, self.channels)]
        shapes += [(1, 1, w, 1), (1, h, 1, 1), (w, 1), (h, w, 1), (1,), ()]
        shape = self.pick(shapes)
        sizes = [size for size in shape if size > 1]
        if len(sizes) == 1 and shape[-1] == 1 and sizes[0] in (h, self.channels):
            self.allow("a constant that Keras takes for a bias")
        array = self.generator.normal(size=shape).astype("float32")
        kind = self.pick([np.asarray, tf.constant, np.float64])
        constant = kind(array) if kind is not np.float64 else array.astype("float64")
        a, b = self.value(), self.value()
        return self.one_of(
            lambda: a + constant,
            lambda: ops.add(a, constant),
            lambda: ops.maximum(a, constant),
            # Plus `b`: Keras takes the product with an array for sparse, and cannot
            # infer the shape of a layer that follows it.
            lambda: b + ops.multiply(a, constant),
        )

    def add_pointwise(self):
        layer = self.one_of(
            lambda: layers.LeakyReLU(),
            lambda: layers.ELU(),
            lambda: layers.ReLU(max_value=1.5, negative_slope=0.2, threshold=0.1),
            lambda: layers.PReLU(shared_axes=[1, 2]),
            lambda: layers.PReLU(),
            lambda: layers.BatchNormalization(),
            lambda: layers.Rescaling(0.5, -1.0),
            lambda: layers.Activation("tanh"),
            lambda: layers.Activation(own.shifted),
            lambda: layers.Activation(own.softsign),
            lambda: own.Settings(),
            lambda: layers.ActivityRegularization(l2=0.01),
            lambda: layers.Identity(),
        )
        if isinstance(layer, layers.PReLU) and layer.shared_axes is None:
            self.allow("slopes of each place")
        return layer(self.value())

    def add_default(self):
        self.allow("training=True by default")
        return own.Faded()(self.value())

    def add_argument(self):
        return own.Doubled()(self.value(), factor=self.number())

    def add_noise_of_training(self):
        layer = self.one_of(
            lambda: layers.Dropout(0.5),
            lambda: layers.GaussianNoise(1.0),
            lambda: layers.GaussianDropout(0.4),
            lambda: layers.AlphaDropout(0.3),
            lambda: layers.SpatialDropout2D(0.5),
            lambda: own.Noisy(),
        )
        return layer(self.value())

    def add_shift(self):
        return self.one_of(
            lambda: (
                layers.ReLU()(own.Above()(self.value())) + own.Above()(self.value())
            ),
            lambda: own.Left()(self.value(), offset=self.number()),
            lambda: own.Sides()(self.value()),
        )

    def add_half(self):
        """A layer that computes in half precision, among others that do not."""
        if not self.half:
            return self.masked(self.value(), "B")
        dtype = self.pick(["mixed_bfloat16", "float16", "bfloat16"])
        options = {"num_colors": self.colors, "dtype": dtype}
        x = MaskedConv2D(self.channels, 3, "B", **options)(self.value())
        return layers.Activation("tanh", dtype="float32")(x)

    # Steps that mix channels, which gray images alone allow.

    def mix_dense(self):
        layer = self.one_of(
            lambda: layers.Dense(self.channels, "relu"),
            lambda: layers.Conv2D(self.channels, 1),
            lambda: layers.Conv2D(self.channels, 1, kernel_constraint="unit_norm"),
        )
        return [layer(self.value()), layer(self.value())]

    def mix_normalization(self):
        layer = self.one_of(
            lambda: layers.LayerNormalization(),
            lambda: layers.RMSNormalization(),
            lambda: layers.UnitNormalization(axis=-1),
            lambda: layers.Softmax(),
            lambda: layers.Activation(own.sorted_channels),
            lambda: layers.Activation("log_softmax"),
        )
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
        dense = [layers.Dense(self.channels, use_bias=n == 1) for n in range(3)]
        return layers.Add()([layer(self.value()) for layer in dense])

    def mix_axes(self):
        x, c = self.value(), self.channels
        matrix = self.generator.normal(size=(c, c)).astype("float32") / math.sqrt(c)
        equation = "bhwc,cd->bhwd"
        self.allow("axes")
        return self.one_of(
            lambda: ops.einsum(equation, x, tf.constant(matrix)),
            lambda: ops.matmul(x, tf.constant(matrix)),
            lambda: layers.EinsumDense(equation, (*self.size, c), bias_axes="d")(x),
            lambda: ops.roll(x, 1, axis=-1),
            lambda: ops.cumsum(x, axis=-1) * 0.5,
            lambda: ops.one_hot(ops.argmax(x, axis=-1), c) + 0.1 * x,
            lambda: ops.transpose(ops.transpose(x, (0, 2, 1, 3)), (0, 2, 1, 3)),
            lambda: layers.Permute((2, 1, 3))(layers.Permute((2, 1, 3))(x)),
            lambda: layers.Reshape((*self.size, c))(x),
            lambda: layers.TimeDistributed(layers.Dense(c))(x),
            lambda: ops.flip(x, axis=-1),
            lambda: ops.stack([x, -x], axis=-1)[..., 1] * 0.5,
            lambda: ops.sum(ops.stack([x, ops.abs(x)], axis=0), axis=0),
            lambda: ops.cast(ops.cast(3 * x, "int32") % 3, x.dtype),
            lambda: ops.repeat(ops.max(x, -1, keepdims=True), c, axis=-1) + x,
        )

    # Steps with conditions.

    def given_label(self):
        label = self.condition("label")
        vector = layers.Embedding(NUM_CLASSES, self.channels)(label)
        return self.joined(layers.Reshape((1, 1, self.channels))(vector))

    def given_grid(self):
        masked = self.chance(0.5)
        embedding = layers.Embedding(NUM_CLASSES, self.channels, mask_zero=masked)
        x = layers.Add()([self.value(), embedding(self.condition("grid"))])
        if masked:
            self.allow("mask of a condition")
        if self.colors == 1 and self.chance(0.5):
            x = self.pick([layers.Softmax(), layers.LayerNormalization()])(x)
        return x

    def given_map(self):
        c = self.channels
        x = self.condition("map", "map", "counts")
        if x.dtype == "uint8":
            x = ops.cast(x, "float32") if self.chance(0.5) else layers.Rescaling(0.2)(x)
        layer = self.one_of(
            lambda: layers.Conv2D(c, 3, padding="same"),
            lambda: layers.Dense(c, "relu"),
            lambda: layers.SeparableConv2D(c, 3, padding="same"),
            lambda: layers.Conv2DTranspose(c, 3, padding="same"),
            lambda: RowLSTM(c),
            lambda: DiagonalBiLSTM(c),
            lambda: keras.Sequential([layers.Conv2D(c, 1), layers.ReLU()]),
            lambda: own.Mirror(),
        )
        x = layer(x)
        if isinstance(layer, own.Mirror):
            x = layers.Dense(c)(x)
        return self.joined(x)

    def given_point(self):
        return self.joined(layers.Conv2D(self.channels, 1)(self.condition("point")))

    def given_pooled(self):
        x = self.condition("map")
        pool = self.pick([layers.GlobalAveragePooling2D, layers.Flatten])
        return self.joined(self.as_point(pool()(x)))

    def given_vector(self):
        x = layers.Dense(self.channels, "relu")(self.condition("vector"))
        layer = self.one_of(
            lambda: layers.Dropout(0.5),
            lambda: layers.BatchNormalization(),
            lambda: layers.GaussianNoise(1.0),
            lambda: layers.LayerNormalization(),
            lambda: own.Faded(),
            lambda: own.Noisy(),
        )
        if isinstance(layer, own.Faded):
            self.allow("training=True by default")
        return self.joined(self.as_point(layer(x)))

    def given_level(self):
        """A map of one number, which Keras may take for a bias."""
        return self.joined(self.condition("level"))

    def given_scalar(self):
        return self.joined(ops.reshape(self.condition("scalar"), (-1, 1, 1, 1)))

    def given_sequence(self):
        rows = layers.Reshape((self.size[0], -1))(self.condition("map"))
        layer = self.pick([layers.LSTM(4), layers.Bidirectional(layers.GRU(3))])
        return self.joined(self.as_point(layer(rows)))

    def given_to_layer(self):
        """A condition of the library's own layers."""
        condition = self.condition("map", "point")
        return self.one_of(
            lambda: self.lstm()(self.value(), condition),
            lambda: self.lstm()(self.value(), condition=condition),
            lambda: self.block(ResidualLSTMBlock)(self.value(), condition),
            lambda: self.block(ResidualMaskedConvBlock)(self.value(), condition),
            lambda: self.gated(self.image, condition),
        )

    def given_map_first(self):
        """An LSTM on the condition, whose own condition is made of the image."""
        condition = self.pick([self.value, lambda: ops.tanh(self.value())])()
        self.allow("a condition made of the image")
        kind = self.pick([RowLSTM, DiagonalBiLSTM])
        return kind(self.channels)(self.condition("map"), condition=condition)

    def given_glimpse(self):
        given = self.condition("map"), self.condition("vector")
        glimpse, attention = ReadAttention(2)(*given)
        glimpse = layers.Concatenate()([layers.Flatten()(glimpse), attention])
        return self.joined(self.as_point(glimpse))

    def given_patch(self):
        shape = (*self.size, self.channels)
        update, _ = WriteAttention(min(2, *self.size), shape)(self.condition("vector"))
        return self.joined(update)

    def given_sketch(self):
        shape = (*self.size, 2)
        noise = layers.Dense(2)(self.condition("vector"))
        drawn = own.Sketch(shape)(self.condition("map"), noise)
        return self.joined(layers.Conv2D(self.channels, 3, padding="same")(drawn))

    # Causal graphs that only some samplers take, or none. They may be refused.

    def odd_own(self):
        c = self.channels
        return self.one_of(
            lambda: own.OtherCall(c, self.colors)(self.value()),
            lambda: own.OtherConvolution(c, 3, "B", self.colors)(self.value()),
            lambda: own.Sums()(self.value()),
            lambda: own.WrongStep()(self.value(), offset=self.number()),
            lambda: own.WrongReach()(self.value()),
            lambda: own.ReadsItself()(self.value()),
        )

    def odd_shift(self):
        """Causal convolutions of Keras' own layers."""
        x = layers.ZeroPadding2D(((1, 0), (1, 1)))(self.value())
        if self.colors > 1 or self.chance(0.5):
            x = layers.Cropping2D(((0, 1), (1, 1)))(x)
            return x + self.value()
        x = layers.Conv2D(self.channels, (1, 3))(x)
        return layers.Cropping2D(((0, 1), (0, 0)))(x)

    def odd_places(self):
        """Operations over places that are causal here."""
        return self.one_of(
            lambda: ops.cumsum(self.value(), axis=2) * 0.3,
            lambda: ops.cumsum(self.value(), axis=1) * 0.3,
            lambda: layers.Activation(own.lower)(self.value()),
            lambda: layers.Activation(own.upper)(self.value()),
            lambda: ops.pad(self.value()[:, :, :-1], [[0, 0], [0, 0], [1, 0], [0, 0]]),
        )

    # Graphs that leak, mix examples or draw noise, unless `training=False` prevents it.
    # They may be refused too.

    def bad_leak(self):
        start = self.pick(["zeros", "glorot_uniform"])
        c, same = self.channels, {"padding": "same"}
        layer = self.one_of(
            lambda: layers.Conv2D(c, 3, kernel_initializer=start, **same),
            lambda: layers.DepthwiseConv2D(3, depthwise_initializer=start, **same),
            lambda: layers.MaxPooling2D(3, strides=1, **same),
            lambda: layers.GroupNormalization(1),
            lambda: layers.LayerNormalization(axis=[1, 2, 3]),
            lambda: own.Mirror(),
            lambda: own.PretendsPointwise(),
            lambda: layers.Activation(own.rolled),
            lambda: lambda x: x - ops.mean(x, axis=(1, 2), keepdims=True),
            lambda: MaskedConv2D(c, 1, "B", self.colors),
        )
        if isinstance(layer, MaskedConv2D):
            return layer(self.image)
        if isinstance(layer, layers.Layer) and self.chance(0.3):
            layer.trainable = False
        return layer(self.value())

    def bad_likelihood(self):
        return self.masked(self.value(), "B")

    def bad_training(self):
        """Layers that leak in training alone, or mix the images of a batch."""
        layer = self.one_of(
            lambda: layers.RandomTranslation(0.4, 0.4),
            lambda: layers.RandomFlip("horizontal"),
            lambda: layers.RandomRotation(0.3),
            lambda: layers.RandomZoom(0.4),
            lambda: own.Ahead(),
            lambda: own.Block(self.channels, self.colors, training_leak=1.0),
            lambda: layers.BatchNormalization(),
        )
        if self.chance(0.3):
            layer = keras.Sequential([layer, layers.Activation("tanh")])
        return layer(self.value())

    def bad_batch(self):
        layer = self.one_of(
            lambda: own.BatchMean(),
            lambda: own.BatchScale(),
            lambda: own.Neighbor(),
            lambda: lambda x: layers.BatchNormalization()(x, training=True),
            lambda: lambda x: ops.flip(x, axis=0),
            lambda: layers.Activation(own.sums_of_batch),
        )
        return self.on_value_or_condition(layer)

    def bad_noise(self):
        layer = self.one_of(
            lambda: own.Noisy(always=True),
            lambda: lambda x: layers.Dropout(0.5)(x, training=True),
            lambda: lambda x: layers.GaussianNoise(1.0)(x, training=True),
        )
        return self.on_value_or_condition(layer)

    def bad_latents(self):
        vector = self.condition("vector")
        laplace = Latent(3, prior="laplace", estimator="monte_carlo")
        made = [GaussianLatent(3)(vector), laplace(vector)]
        return self.joined(self.as_point(layers.Concatenate()(made)))

    def bad_drawing(self):
        loop = DRAWLoop(2, (*self.size, 2), 4, 2, 2, 2, "gaussian")
        params = layers.Reshape((*self.size, 4))(loop(self.condition("map")))
        return self.joined(layers.Dense(self.channels)(params))

    # Values.

    def randomize_weights(self):
        """Give all float weights random values, frozen ones too."""
        for weight in self.model.weights:
            if "float" not in weight.dtype:
                continue
            value = self.generator.normal(size=weight.shape)
            if "variance" in weight.path:  # Below 0, the forward pass would be NaN.
                value = abs(value) + 0.5
            elif "gamma" in weight.path:
                value = 1 + 0.3 * value
            elif len(weight.shape) > 1:
                value *= 1.2 / math.sqrt(math.prod(weight.shape[:-1]))
            else:
                value *= 0.4
            weight.assign(value)

    def images(self, num_images):
        """Return random images, an array of float32."""
        values = self.likelihood.num_values
        shape = (num_images, *self.shape)
        return self.generator.integers(values, size=shape).astype("float32")

    def condition_arrays(self, num_images):
        """Return a dict of random conditions by name."""
        arrays = {}
        for name, tensor in self.conditions.items():
            shape = (num_images, *tensor.shape[1:])
            if "int" in tensor.dtype:
                array = self.generator.integers(NUM_CLASSES, size=shape)
            else:
                array = self.generator.normal(size=shape)
            arrays[name] = array.astype(tensor.dtype)
        return arrays


STEPS = [
    name
    for name in vars(RandomGraph)
    if name.startswith(("add_", "mix_", "given_", "odd_", "bad_"))
]
# So that few graphs in a row must be refused.
np.random.default_rng(0).shuffle(STEPS)
