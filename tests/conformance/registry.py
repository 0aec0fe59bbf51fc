"""Every public class once, with the arguments that the contracts use."""

import dataclasses
from collections.abc import Callable
from functools import partial

import keras
import numpy as np

from keras_genimg import latents, layers, likelihoods, losses, metrics, models


@dataclasses.dataclass(frozen=True)
class LayerCase:
    """A layer and the shapes of its call arguments, without the batch.

    A layer with several outputs returns a tuple: the first output has the compute dtype
    (or `dtype`), the others are float32. A `random` layer draws noise.
    """

    make: Callable
    inputs: dict
    random: bool = False
    dtype: str | None = None

    @property
    def any_size(self):
        """Whether the layer takes maps of any size, not only those of `inputs`."""
        return not self.random and all(len(each) == 3 for each in self.inputs.values())

    def example(self, batch=4, seed=0):
        generator = np.random.default_rng(seed)
        return {
            name: generator.normal(size=(batch, *shape)).astype("float32")
            for name, shape in self.inputs.items()
        }

    def symbolic(self):
        """Return symbolic inputs with only those sizes known that the layer needs."""
        return [
            keras.Input((None, None, shape[-1]) if self.any_size else shape)
            for shape in self.inputs.values()
        ]

    def model(self, **kwargs):
        """Return a functional model of the layer that has weights to train."""
        inputs = {
            name: keras.Input(shape, name=name) for name, shape in self.inputs.items()
        }
        outputs = self.make(**kwargs)(*inputs.values())
        if isinstance(outputs, tuple):
            flat = [keras.layers.Flatten(dtype="float32")(each) for each in outputs]
            outputs = keras.layers.Concatenate()(flat)
        return keras.Model(inputs, keras.layers.Dense(2, dtype="float32")(outputs))


@dataclasses.dataclass(frozen=True)
class ModelCase:
    """A model and a description of its inputs.

    `num_values` is the number of values of a sub-pixel, or None for intensities. The
    training of a `random` model draws noise.
    """

    make: Callable
    shape: tuple
    num_values: int | None
    num_classes: int | None = None
    random: bool = False

    def example(self, batch=4, seed=0):
        generator = np.random.default_rng(seed)
        if self.num_values is None:
            return generator.random((batch, *self.shape)).astype("float32")
        images = generator.integers(self.num_values, size=(batch, *self.shape))
        if self.num_classes is None:
            return images.astype("uint8")
        label = generator.integers(self.num_classes, size=batch).astype("int32")
        return {"images": images.astype("uint8"), "label": label}


def _layer(name, inputs, *arguments, state=None, vertical=None, condition=None, **own):
    """Return a name and the case of a layer: class, shapes of maps, and arguments.

    The name is that of the class, or begins with it and an underscore.
    """
    kind = getattr(layers, name.split("_")[0])
    others = {"state": state, "vertical": vertical, "condition": condition}
    shapes = {"inputs": inputs, **{key: x for key, x in others.items() if x}}
    return name, LayerCase(
        partial(kind, *arguments, **own),
        shapes,
        random=issubclass(kind, (layers.Latent, layers.DRAWLoop)),
        dtype="float32" if kind is layers.DRAWLoop else None,
    )


LAYERS = dict(
    [
        _layer("MaskedConv2D", (5, 4, 7), 6, (5, 3), "A", num_colors=3),
        _layer("RowLSTM", (4, 6, 7), 5, 5, num_colors=2),
        _layer("RowLSTM_condition", (4, 6, 7), 4, condition=(4, 6, 2)),
        _layer("DiagonalBiLSTM", (4, 6, 7), 5, num_colors=3, num_segments=2),
        _layer(
            "DiagonalBiLSTM_condition",
            *((6, 3, 2), 4, 2, "A"),
            num_segments=1,
            condition=(1, 1, 2),
        ),
        _layer("GatedVerticalConv", (5, 4, 2), 3, 5, "A"),
        _layer("GatedVerticalConv_condition", (4, 6, 6), 4, condition=(4, 6, 2)),
        _layer("GatedHorizontalConv", (4, 6, 7), 5, 5, "A", 3, vertical=(4, 6, 4)),
        _layer(
            "GatedHorizontalConv_condition",
            *((4, 6, 4), 4),
            vertical=(4, 6, 8),
            condition=(1, 1, 3),
        ),
        _layer("ResidualMaskedConvBlock", (4, 6, 8), 4, 5, num_colors=3),
        _layer("ResidualMaskedConvBlock_condition", (4, 6, 8), 4, condition=(1, 1, 3)),
        _layer("ResidualLSTMBlock", (4, 6, 8), 4, "row", num_colors=3),
        _layer("ResidualLSTMBlock_condition", (2, 3, 8), 4, condition=(2, 3, 3)),
        _layer("SplitColors", (4, 5, 6), 3),
        _layer("ReadAttention", (5, 4, 3), 3, state=(6,)),
        _layer("ReadAttention_whole", (5, 4, 3), None, state=(6,)),
        _layer("WriteAttention", (6,), 4, (3, 5, 3)),
        _layer("WriteAttention_whole", (6,), None, (3, 5, 3)),
        _layer("Latent", (6,), 3, "laplace", "diagonal_normal", "monte_carlo", seed=1),
        _layer("GaussianLatent", (6,), 4, scale="log_variance", seed=1),
        _layer("DRAWLoop", (4, 5, 1), 2, (4, 5, 1), 6, 3, 3, 2, "categorical", seed=1),
    ]
)


def _wired_by_hand():
    images = keras.Input((4, 5, 1))
    x = layers.MaskedConv2D(6, 3, "A")(images)
    x = keras.layers.Activation("tanh")(layers.DiagonalBiLSTM(4)(x))
    logits = layers.MaskedConv2D(1, 1, "B", dtype="float32")(x)
    return models.AutoregressiveModel(images, logits, "bernoulli")


def model_case(name, shape, *arguments, **options):
    """Return a name and the case of a model; the name begins with that of its class."""
    kind = getattr(models, name.split("_")[0])
    return name, ModelCase(
        partial(kind, shape, *arguments, **options),
        shape,
        likelihoods.get(options.get("likelihood", "bernoulli")).num_values,
        options.get("num_classes"),
        random=issubclass(kind, models.LatentModel),
    )


def oriented_case(name, shape, *arguments, **options):
    """Return a name and the case of an `OrientedModel` of a PixelCNN."""

    def make():
        network = models.PixelCNN(shape, *arguments, **options)
        return models.OrientedModel(network, seed=1)

    likelihood = likelihoods.get(options.get("likelihood", "bernoulli"))
    return name, ModelCase(make, shape, likelihood.num_values)


_FOUR, _FIVE = likelihoods.Categorical(4), likelihoods.Categorical(5)
_MIXTURE = likelihoods.DiscretizedLogisticMixture(5, 2)
_REAL = likelihoods.Bernoulli(intensities=True)
_VARIANCE = latents.DiagonalNormal("log_variance")

MODELS = dict(
    [
        ("AutoregressiveModel", ModelCase(_wired_by_hand, (4, 5, 1), 2)),
        model_case("PixelCNN", (4, 5, 3), 4, 1, 8, likelihood=_FIVE),
        model_case("PixelCNN_mixture", (4, 5, 3), 4, 1, 8, likelihood=_MIXTURE),
        model_case("PixelCNN_classes", (4, 4, 1), 3, 1, 4, num_classes=3),
        model_case("GatedPixelCNN", (4, 5, 3), 4, 1, 8, likelihood=_FIVE),
        model_case("GatedPixelCNN_classes", (4, 4, 1), 3, 1, 4, num_classes=3),
        model_case("PixelRNN_diagonal", (5, 4, 1), 4, 1, head_filters=8),
        model_case("PixelRNN_row", (4, 5, 3), 5, 1, "row", 8, likelihood=_FOUR),
        model_case(
            "PixelRNN_plain",
            *((4, 4, 1), 3, 1, "row"),
            residual=False,
            skip=False,
            num_classes=2,
        ),
        model_case(
            "MultiScalePixelRNN",
            *((4, 6, 3), ((2, 2), (4, 6)), 4, 1, "row", 8),
            likelihood=_FOUR,
            first_kernel_size=3,
            condition_filters=4,
        ),
        oriented_case("OrientedModel", (4, 4, 1), 3, 1, 4, num_classes=8),
        oriented_case(
            "OrientedModel_mixture",
            *((4, 5, 3), 4, 1, 8),
            likelihood=_MIXTURE,
            num_classes=4,
        ),
        model_case("VAE", (4, 5, 1), 3, 8, num_samples=2, posterior=_VARIANCE),
        model_case(
            "VAE_full_normal",
            *((4, 6, 3), 2, (8, 5)),
            likelihood="gaussian",
            posterior="full_normal",
            weight_prior=10,
            conv_filters=[2],
            activation="elu",
        ),
        model_case("DRAW", (4, 5, 1), 2, 6, 3, 3, 2),
        model_case("DRAW_whole", (4, 5, 3), 2, 6, 3, likelihood=_REAL),
    ]
)

LIKELIHOODS = {
    "Bernoulli": likelihoods.Bernoulli,
    "Bernoulli_intensities": lambda: likelihoods.Bernoulli(intensities=True),
    "Categorical": lambda: likelihoods.Categorical(7),
    "DiscretizedLogisticMixture": lambda: likelihoods.DiscretizedLogisticMixture(7, 3),
    "Gaussian": lambda: likelihoods.Gaussian(0.01),
}

# Families of latent distributions.
FAMILIES = {
    "DiagonalNormal": latents.DiagonalNormal,
    "DiagonalNormal_variance": lambda: latents.DiagonalNormal("log_variance"),
    "FullNormal": latents.FullNormal,
    "Laplace": latents.Laplace,
}

# Losses and metrics; each takes images and parameters of a Bernoulli likelihood.
MEASURES = {
    "NegativeLogLikelihood": lambda: losses.NegativeLogLikelihood("bernoulli"),
    "BitsPerDim": lambda: metrics.BitsPerDim(likelihoods.Bernoulli()),
}

_BASES = "CausalLayer GenerativeModel LatentFamily LatentModel Likelihood"
# Public names without a case: base classes, a function, and `DRAWCell`, whose states
# are a list, and which `tests/models/test_draw.py` tests.
NOT_TRIED = {*_BASES.split(), "DRAWCell", "get"}
