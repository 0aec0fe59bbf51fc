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


def _layer_case(make, inputs, random=False, dtype=None, **others):
    return LayerCase(make, {"inputs": inputs, **others}, random, dtype)


LAYERS = {
    "MaskedConv2D": _layer_case(
        partial(layers.MaskedConv2D, 6, (5, 3), "A", num_colors=3), (5, 4, 7)
    ),
    "RowLSTM": _layer_case(partial(layers.RowLSTM, 5, 5, num_colors=2), (4, 6, 7)),
    "RowLSTM_condition": _layer_case(
        partial(layers.RowLSTM, 4), (4, 6, 7), condition=(4, 6, 2)
    ),
    "DiagonalBiLSTM": _layer_case(
        partial(layers.DiagonalBiLSTM, 5, num_colors=3, num_segments=2), (4, 6, 7)
    ),
    "DiagonalBiLSTM_condition": _layer_case(
        partial(layers.DiagonalBiLSTM, 4, 2, mask_type="A", num_segments=1),
        (6, 3, 2),
        condition=(1, 1, 2),
    ),
    "GatedVerticalConv": _layer_case(
        partial(layers.GatedVerticalConv, 3, 5, "A"), (5, 4, 2)
    ),
    "GatedVerticalConv_condition": _layer_case(
        partial(layers.GatedVerticalConv, 4), (4, 6, 6), condition=(4, 6, 2)
    ),
    "GatedHorizontalConv": _layer_case(
        partial(layers.GatedHorizontalConv, 5, 5, "A", 3), (4, 6, 7), vertical=(4, 6, 4)
    ),
    "GatedHorizontalConv_condition": _layer_case(
        partial(layers.GatedHorizontalConv, 4),
        (4, 6, 4),
        vertical=(4, 6, 8),
        condition=(1, 1, 3),
    ),
    "ResidualMaskedConvBlock": _layer_case(
        partial(layers.ResidualMaskedConvBlock, 4, 5, num_colors=3), (4, 6, 8)
    ),
    "ResidualMaskedConvBlock_condition": _layer_case(
        partial(layers.ResidualMaskedConvBlock, 4), (4, 6, 8), condition=(1, 1, 3)
    ),
    "ResidualLSTMBlock": _layer_case(
        partial(layers.ResidualLSTMBlock, 4, "row", num_colors=3), (4, 6, 8)
    ),
    "ResidualLSTMBlock_condition": _layer_case(
        partial(layers.ResidualLSTMBlock, 4), (2, 3, 8), condition=(2, 3, 3)
    ),
    "SplitColors": _layer_case(partial(layers.SplitColors, 3), (4, 5, 6)),
    "ReadAttention": _layer_case(
        partial(layers.ReadAttention, 3), (5, 4, 3), state=(6,)
    ),
    "ReadAttention_whole": _layer_case(
        partial(layers.ReadAttention, None), (5, 4, 3), state=(6,)
    ),
    "WriteAttention": _layer_case(partial(layers.WriteAttention, 4, (3, 5, 3)), (6,)),
    "WriteAttention_whole": _layer_case(
        partial(layers.WriteAttention, None, (3, 5, 3)), (6,)
    ),
    "Latent": _layer_case(
        partial(layers.Latent, 3, "laplace", "diagonal_normal", "monte_carlo", seed=1),
        (6,),
        random=True,
    ),
    "GaussianLatent": _layer_case(
        partial(layers.GaussianLatent, 4, seed=1), (6,), random=True
    ),
    "DRAWLoop": _layer_case(
        partial(layers.DRAWLoop, 2, (4, 5, 1), 6, 3, 3, 2, "categorical", seed=1),
        (4, 5, 1),
        random=True,
        dtype="float32",
    ),
}


def _wired_by_hand():
    images = keras.Input((4, 5, 1))
    x = layers.MaskedConv2D(6, 3, "A")(images)
    x = keras.layers.Activation("tanh")(layers.DiagonalBiLSTM(4)(x))
    logits = layers.MaskedConv2D(1, 1, "B", dtype="float32")(x)
    return models.AutoregressiveModel(images, logits, "bernoulli")


def _model_case(kind, shape, *arguments, num_values=2, **options):
    return ModelCase(
        partial(kind, shape, *arguments, **options),
        shape,
        num_values,
        options.get("num_classes"),
        random=issubclass(kind, models.LatentModel),
    )


_FOUR = {"likelihood": likelihoods.Categorical(4), "num_values": 4}
_FIVE = {"likelihood": likelihoods.Categorical(5), "num_values": 5}
_MIXTURE = {"likelihood": likelihoods.DiscretizedLogisticMixture(5, 2), "num_values": 5}
_GAUSS = {"likelihood": "gaussian", "num_values": None}
_PLAIN = {"residual": False, "skip": False}
_INTENSITIES = {
    "likelihood": likelihoods.Bernoulli(intensities=True),
    "num_values": None,
}

MODELS = {
    "AutoregressiveModel": ModelCase(_wired_by_hand, (4, 5, 1), 2),
    "PixelCNN": _model_case(models.PixelCNN, (4, 5, 3), 4, 1, head_filters=8, **_FIVE),
    "PixelCNN_mixture": _model_case(
        models.PixelCNN, (4, 5, 3), 4, 1, head_filters=8, **_MIXTURE
    ),
    "PixelCNN_classes": _model_case(
        models.PixelCNN, (4, 4, 1), 3, 1, head_filters=4, num_classes=3
    ),
    "GatedPixelCNN": _model_case(
        models.GatedPixelCNN, (4, 5, 3), 4, 1, head_filters=8, **_FIVE
    ),
    "GatedPixelCNN_classes": _model_case(
        models.GatedPixelCNN, (4, 4, 1), 3, 1, head_filters=4, num_classes=3
    ),
    "PixelRNN_diagonal": _model_case(models.PixelRNN, (5, 4, 1), 4, 1, head_filters=8),
    "PixelRNN_row": _model_case(
        models.PixelRNN, (4, 5, 3), 5, 1, "row", head_filters=8, **_FOUR
    ),
    "PixelRNN_plain": _model_case(
        models.PixelRNN, (4, 4, 1), 3, 1, "row", **_PLAIN, num_classes=2
    ),
    "MultiScalePixelRNN": _model_case(
        models.MultiScalePixelRNN,
        (4, 6, 3),
        ((2, 2), (4, 6)),
        4,
        1,
        "row",
        head_filters=8,
        first_kernel_size=3,
        condition_filters=4,
        **_FOUR,
    ),
    "VAE": _model_case(models.VAE, (4, 5, 1), 3, 8, num_samples=2),
    "VAE_full_normal": _model_case(
        models.VAE, (4, 3, 3), 2, 8, posterior="full_normal", weight_prior=10, **_GAUSS
    ),
    "DRAW": _model_case(models.DRAW, (4, 5, 1), 2, 6, 3, 3, 2),
    "DRAW_whole": _model_case(models.DRAW, (4, 5, 3), 2, 6, 3, **_INTENSITIES),
}

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
    "FullNormal": latents.FullNormal,
    "Laplace": latents.Laplace,
}

# Losses and metrics; each takes images and parameters of a Bernoulli likelihood.
MEASURES = {
    "NegativeLogLikelihood": lambda: losses.NegativeLogLikelihood("bernoulli"),
    "BitsPerDim": lambda: metrics.BitsPerDim(likelihoods.Bernoulli()),
}

# Public names without a case: base classes, functions and modules; and `DRAWCell`,
# whose states are a list, and which `tests/models/test_draw.py` tests.
NOT_TRIED = {
    "CausalLayer",
    "DRAWCell",
    "GenerativeModel",
    "LatentFamily",
    "LatentModel",
    "Likelihood",
    "get",
}
