"""Settings by name: those the papers publish, and small ones for two CPU cores.

The descriptions name batch sizes and optimizers as published. The paper of DRAW
gives no batch size, and that of PixelRNN no learning rates. The encoders of the VAE
paper's two presets compute log variances, as the paper's do.

References:
    van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks, 2016,
    section 5 and table 1, https://arxiv.org/abs/1601.06759
    van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016,
    section 3.1, https://arxiv.org/abs/1606.05328
    Kingma and Welling, Auto-Encoding Variational Bayes, 2013, section 5,
    https://arxiv.org/abs/1312.6114
    Gregor et al., DRAW, 2015, table 3, https://arxiv.org/abs/1502.04623
"""

from dataclasses import replace

from keras_genimg.latents import DiagonalNormal
from keras_genimg.likelihoods import Bernoulli, Categorical
from keras_genimg.presets.preset import Preset, Recipe

_CLIP = {"global_clipnorm": 1.0}
# PixelRNN and PixelCNN train by this on MNIST, binarized again in each epoch.
_MNIST_RECIPE = Recipe(
    40,
    64,
    2e-3,
    warmup_steps=500,
    ema_momentum=0.999,
    clipping={"global_clipnorm": 5.0},
)
_DIGITS_RECIPE = Recipe(30, 32, 3e-3, clipping=_CLIP)
_SMALL_CIFAR10_RECIPE = Recipe(
    3, 16, 2e-3, warmup_steps=200, ema_momentum=0.999, clipping=_CLIP
)
# A first guess for models that two CPU cores cannot train.
_LARGE_RECIPE = Recipe(
    60, 16, 1e-3, warmup_steps=1000, ema_momentum=0.9995, clipping=_CLIP, tried=False
)
_DRAW_RECIPE = Recipe(30, 100, 1e-3, final_fraction=0.01, clipping={"clipnorm": 10.0})
_LARGE_DRAW_RECIPE = replace(_DRAW_RECIPE, epochs=60, tried=False)

_INTENSITIES = Bernoulli(intensities=True)
_LOG_VARIANCES = DiagonalNormal("log_variance")
_MNIST = {"image_shape": (28, 28, 1), "head_filters": 32, "likelihood": "bernoulli"}
_CIFAR10 = {
    "image_shape": (32, 32, 3),
    "units": 128,
    "head_filters": 1024,
    "likelihood": Categorical(256),
}
# Small models of color images have these arguments.
_MIXTURE = {
    "image_shape": (32, 32, 3),
    "head_filters": 64,
    "likelihood": "logistic_mixture",
}
_DIGITS = {
    "image_shape": (8, 8, 1),
    "head_filters": 32,
    "likelihood": Categorical(17),
    "first_kernel_size": 5,
}


def _presets_on(data, base, recipe):
    """Return a function that makes presets for a data set.

    Args:
        data: See `Preset`.
        base: Settings that all these presets have.
        recipe: Recipe of those that have no other one.
    """

    def preset(description, config, recipe=recipe):
        return Preset(description, {**base, **config}, recipe, data)

    return preset


_digits = _presets_on({"name": "digits"}, _DIGITS, _DIGITS_RECIPE)
_mnist = _presets_on({"name": "mnist"}, _MNIST, _MNIST_RECIPE)
# The papers' own bits of MNIST, which are the same in each epoch.
_binarized_mnist = _presets_on({"name": "binarized_mnist"}, _MNIST, _MNIST_RECIPE)
_small_cifar10 = _presets_on({"name": "cifar10"}, _MIXTURE, _SMALL_CIFAR10_RECIPE)
_large_cifar10 = _presets_on({"name": "cifar10"}, _CIFAR10, _LARGE_RECIPE)
_imagenet64 = _presets_on(
    {"name": "downsampled_imagenet/64x64", "image_size": 64},
    {**_CIFAR10, "image_shape": (64, 64, 3), "units": 512},
    _LARGE_RECIPE,
)
# VAE and DRAW have these presets.
_latent_mnist = _presets_on(
    {"name": "mnist"}, {"image_shape": (28, 28, 1)}, _DRAW_RECIPE
)
_latent_digits = _presets_on(
    {"name": "digits"},
    {"image_shape": (8, 8, 1), "likelihood": _INTENSITIES},
    _DRAW_RECIPE,
)

_PIXEL_CNN_MNIST = {"units": 24, "num_blocks": 10, "first_kernel_size": 55}
_PIXEL_CNN_MNIST_RECIPE = replace(
    _MNIST_RECIPE, epochs=19, batch_size=32, learning_rate=4e-3
)
_TEN_DIGITS = {"num_classes": 10, "class_names": tuple("0123456789")}

PIXEL_CNN = {
    "cifar10_15x128": _large_cifar10(
        "PixelCNN of 15 blocks on CIFAR-10. The paper: RMSProp, batches of 16.",
        {"num_blocks": 15},
    ),
    "cifar10_small": _small_cifar10(
        "Small PixelCNN of five blocks on CIFAR-10, for a few hours of one core; not "
        "in the paper.",
        {"units": 64, "num_blocks": 5},
    ),
    "mnist": _mnist(
        "PixelCNN of ten blocks on binarized MNIST. Its first kernel is as wide as two "
        "images and reaches all earlier pixels; the paper's has seven pixels.",
        _PIXEL_CNN_MNIST,
        _PIXEL_CNN_MNIST_RECIPE,
    ),
    "mnist_classes": Preset(
        "The PixelCNN of `mnist` with the digit as a condition.",
        {**_MNIST, **_PIXEL_CNN_MNIST, **_TEN_DIGITS},
        replace(_PIXEL_CNN_MNIST_RECIPE, tried=False),
        {"name": "mnist", "labels": True},
    ),
    "photo_patches": Preset(
        "Small PixelCNN for color crops of photographs. `genimg-train` takes it for a "
        "folder of images.",
        {"units": 32, "num_blocks": 6, **_MIXTURE},
        replace(_DIGITS_RECIPE, epochs=12, warmup_steps=100, tried=False),
        {"name": "photo_patches"},
    ),
    "digits": _digits(
        "Small PixelCNN for the embedded 8x8 digits with 17 gray levels.",
        {"units": 16, "num_blocks": 3},
    ),
}

# `cifar10` has the size of the paper's ImageNet model: 20 layers of 384 channels with
# kernels of 5 pixels, the first of them outside the blocks.
GATED_PIXEL_CNN = {
    "cifar10": _large_cifar10(
        "Gated PixelCNN on CIFAR-10, of the size of the paper's ImageNet model. The "
        "paper: batches of 128.",
        {"num_blocks": 19, "kernel_size": 5, "units": 384},
    ),
    "digits": _digits(
        "Small Gated PixelCNN for the embedded 8x8 digits with 17 gray levels.",
        {"units": 24, "num_blocks": 5},
    ),
}

PIXEL_RNN = {
    "mnist_diagonal_1x32": _mnist(
        "One Diagonal BiLSTM layer on binarized MNIST. The paper: RMSProp, batches "
        "of 16.",
        {"units": 32, "num_layers": 1, "layer": "diagonal"},
        replace(_MNIST_RECIPE, epochs=34),
    ),
    "binarized_mnist_diagonal_1x32": _binarized_mnist(
        "One Diagonal BiLSTM layer on the fixed bits of MNIST that the paper trained "
        "on. The paper: RMSProp, batches of 16.",
        {"units": 32, "num_layers": 1, "layer": "diagonal"},
        replace(_MNIST_RECIPE, epochs=36),
    ),
    "mnist_diagonal_7x16": _mnist(
        "Seven Diagonal BiLSTM layers on binarized MNIST, the paper's best. The paper: "
        "RMSProp, batches of 16.",
        {"units": 16, "num_layers": 7, "layer": "diagonal"},
        replace(_MNIST_RECIPE, epochs=12, batch_size=32, learning_rate=3e-3),
    ),
    "mnist_row_7x16": _mnist(
        "Seven Row LSTM layers on binarized MNIST. The paper: RMSProp, batches of 16.",
        {"units": 16, "num_layers": 7, "layer": "row"},
        replace(_MNIST_RECIPE, epochs=14, batch_size=32),
    ),
    "cifar10_small": _small_cifar10(
        "Small Row LSTM of three layers on CIFAR-10, for a few hours of one core; not "
        "in the paper.",
        {"units": 48, "num_layers": 3, "layer": "row"},
        replace(_SMALL_CIFAR10_RECIPE, epochs=7),
    ),
    "cifar10_row_12x128": _large_cifar10(
        "Row LSTM on CIFAR-10. The paper: RMSProp, batches of 16.",
        {"num_layers": 12, "layer": "row"},
    ),
    "cifar10_diagonal_12x128": _large_cifar10(
        "Diagonal BiLSTM on CIFAR-10, the paper's best. The paper: RMSProp, batches of "
        "16.",
        {"num_layers": 12, "layer": "diagonal"},
    ),
    "imagenet32_row_12x384": Preset(
        "Row LSTM on ImageNet at 32x32. The paper: RMSProp, batches of 64.",
        {**_CIFAR10, "units": 384, "num_layers": 12, "layer": "row"},
        _LARGE_RECIPE,
        {"name": "downsampled_imagenet/32x32", "image_size": 32},
    ),
    "imagenet64_row_4x512": _imagenet64(
        "Row LSTM on ImageNet at 64x64, without residual connections. The paper: "
        "RMSProp, batches of 32.",
        {"num_layers": 4, "layer": "row", "residual": False},
    ),
    "digits_diagonal": _digits(
        "Small Diagonal BiLSTM for the embedded 8x8 digits with 17 gray levels.",
        {"units": 16, "num_layers": 2, "layer": "diagonal"},
    ),
    "digits_diagonal_whole_rows": _digits(
        "Small Diagonal BiLSTM whose pixels see their entire past; not in the paper.",
        {"units": 16, "num_layers": 2, "layer": "diagonal", "whole_rows": True},
    ),
    "digits_row": _digits(
        "Small Row LSTM for the embedded 8x8 digits with 17 gray levels.",
        {"units": 16, "num_layers": 2, "layer": "row"},
    ),
}

# Each has the arguments of its network, whose class is `network`.
ORIENTED_MODEL = {
    "mnist": Preset(
        "Eight orders of the PixelCNN of `PixelCNN/mnist`, in one set of weights.",
        {"network": "PixelCNN", **_MNIST, **_PIXEL_CNN_MNIST},
        replace(_PIXEL_CNN_MNIST_RECIPE, epochs=60, tried=False),
        {"name": "mnist"},
    ),
}

MULTI_SCALE_PIXEL_RNN = {
    "digits": _digits(
        "Two scales of Diagonal BiLSTM layers for the embedded 8x8 digits with 17 gray "
        "levels.",
        {"scales": (4, 8), "units": 16, "num_layers": 2, "condition_filters": 16},
        replace(_DIGITS_RECIPE, tried=False),
    ),
    "cifar10": _large_cifar10(
        "Three scales of Diagonal BiLSTM layers on CIFAR-10; not in the paper.",
        {"scales": (8, 16, 32), "num_layers": 12},
    ),
    "cifar10_small": _small_cifar10(
        "Two scales of small Row LSTM layers on CIFAR-10, for an hour of one core; not "
        "in the paper.",
        {
            "scales": (16, 32),
            "units": 40,
            "num_layers": 2,
            "layer": "row",
            "condition_filters": 32,
        },
        replace(_SMALL_CIFAR10_RECIPE, epochs=2),
    ),
    "imagenet64": _imagenet64(
        "Row LSTM on ImageNet at 64x64, from 32x32. The paper: the same layers, scales "
        "not published, RMSProp, batches of 32.",
        {"scales": (32, 64), "num_layers": 4, "layer": "row", "residual": False},
    ),
}

VAE = {
    "mnist": _latent_mnist(
        "Binary MNIST with 20 latent numbers. The paper: Adagrad with a rate of 0.01, "
        "0.02 or 0.1, batches of 100.",
        {"latent_dim": 20, "hidden_units": 500, "posterior": _LOG_VARIANCES},
        Recipe(60, 100, 1e-3),
    ),
    "mnist_50": _latent_mnist(
        "Binary MNIST with 50 latent numbers and convolutions.",
        {
            "latent_dim": 50,
            "hidden_units": 200,
            "conv_filters": (16, 32),
            "activation": "elu",
            "weight_stddev": None,
        },
        Recipe(260, 100, 2e-3, warmup_steps=500, ema_momentum=0.999),
    ),
    "frey_face": Preset(
        "Frey Face with a Gaussian decoder, intensities from 0 to 1. The paper: "
        "Adagrad with a rate of 0.01, 0.02 or 0.1, batches of 100.",
        {
            "image_shape": (28, 20, 1),
            "latent_dim": 10,
            "hidden_units": 200,
            "likelihood": "gaussian",
            "posterior": _LOG_VARIANCES,
        },
        Recipe(500, 100, 1e-3, tried=False),
        {"name": "frey_face"},
    ),
    "digits": _latent_digits(
        "Two latent numbers for the embedded 8x8 digits, intensities from 0 to 1.",
        {"latent_dim": 2, "hidden_units": 200},
        Recipe(300, 50, 3e-3),
    ),
}


def _draw(*sizes, **others):
    """Return arguments of `DRAW` by name.

    Args:
        *sizes: Columns of the paper's table 3: glimpses, units, latents, read size,
            write size.
        **others: Other arguments.
    """
    names = ("num_glimpses", "units", "latent_dim", "read_size", "write_size")
    return {**dict(zip(names, sizes, strict=True)), **others}


DRAW = {
    "mnist": _latent_mnist(
        "Binarized MNIST, the paper's best. The paper: Adam.",
        _draw(64, 256, 100, 2, 5),
        replace(
            _MNIST_RECIPE, epochs=60, batch_size=100, learning_rate=1e-3, tried=False
        ),
    ),
    "mnist_small": _latent_mnist(
        "Binarized MNIST in ten glimpses, which two CPU cores train in half an hour.",
        _draw(10, 256, 16, 5, 5),
    ),
    "svhn": Preset(
        "Street View House Numbers, crops of 54x54 pixels. The paper: Adam.",
        _draw(32, 800, 100, 12, 12, image_shape=(54, 54, 3), likelihood=_INTENSITIES),
        _LARGE_DRAW_RECIPE,
        {"name": "svhn_cropped", "image_size": 64, "crop_size": 54},
    ),
    "cifar10": Preset(
        "CIFAR-10. The paper: Adam.",
        _draw(64, 400, 200, 5, 5, image_shape=(32, 32, 3), likelihood=_INTENSITIES),
        _LARGE_DRAW_RECIPE,
        {"name": "cifar10"},
    ),
    "digits": _latent_digits(
        "Small DRAW for the embedded 8x8 digits, intensities from 0 to 1.",
        _draw(8, 64, 8, 3, 3),
        replace(_DRAW_RECIPE, epochs=100, batch_size=32, learning_rate=3e-3),
    ),
}

# Presets by the name of the model's class.
FAMILIES = {
    "PixelCNN": PIXEL_CNN,
    "GatedPixelCNN": GATED_PIXEL_CNN,
    "PixelRNN": PIXEL_RNN,
    "OrientedModel": ORIENTED_MODEL,
    "MultiScalePixelRNN": MULTI_SCALE_PIXEL_RNN,
    "DRAW": DRAW,
    "VAE": VAE,
}
