"""Encoder and decoder of the VAE paper, with any number of hidden layers.

Convolutions in front of the encoder's hidden layers and behind those of the decoder are
not in the paper.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from keras_genimg.likelihoods import Likelihood
from keras_genimg.types import Policy, Shape

# Arguments of convolutions, whatever data format Keras is set to.
_MAPS: dict[str, Any] = {"padding": "same", "data_format": "channels_last"}


def normal_weights(stddev: float | None, weight_prior: int | None) -> dict[str, Any]:
    """Return initializer and regularizer arguments for a layer.

    Args:
        stddev: Standard deviation of the initial weights; None for those that Keras
            gives a layer, Glorot's.
        weight_prior: Number of training images that share the prior N(0, I), or None.

    Returns:
        Dict of keyword arguments of a Keras layer.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, section 5,
        https://arxiv.org/abs/1312.6114
    """
    arguments = {}
    for prefix in ("kernel", "bias"):
        # Both get objects of their own, since an initializer that is used twice gives
        # the same values.
        if stddev is not None:
            normal = keras.initializers.RandomNormal(stddev=stddev)
            arguments[f"{prefix}_initializer"] = normal
        if weight_prior is not None:
            decay = keras.regularizers.L2(0.5 / weight_prior)
            arguments[f"{prefix}_regularizer"] = decay
    return arguments


def vae_encoder(
    image_shape: Shape,
    units: int | Sequence[int],
    conv_filters: Sequence[int],
    activation: str,
    likelihood: Likelihood,
    weights: Callable[[], dict[str, Any]],
    dtype: Policy | None,
) -> keras.Model:
    """Return a model from images to hidden units.

    Args:
        image_shape: `(height, width, colors)`.
        units: Units of the hidden layer, or of each of several.
        conv_filters: Channels of each stage between images and hidden layers. A stage
            is a 5×5 convolution that halves height and width, then a 3×3 one.
        activation: Activation of all layers.
        likelihood: `Likelihood`, whose `max_value` images are divided by.
        weights: Function that returns the keyword arguments of a new layer, such as
            those of `normal_weights`.
        dtype: Dtype policy of the layers.

    Returns:
        A functional model from `(batch, *image_shape)` to `(batch, last units)`.
    """
    make = _maker(activation, weights, dtype)
    images = keras.Input(image_shape, name="images")
    # The name is explicit, since default names contain a process-wide counter.
    scale = 1 / likelihood.max_value
    x = layers.Rescaling(scale, name="scale", dtype="float32")(images)
    for stage, filters in enumerate(conv_filters, 1):
        x = make(layers.Conv2D, filters, 5, 2, name=f"encoder_shrink_{stage}")(x)
        x = make(layers.Conv2D, filters, 3, name=f"encoder_convolution_{stage}")(x)
    x = layers.Flatten(name="flatten", data_format="channels_last", dtype=dtype)(x)
    x = _hidden_layers(x, units, "encoder_hidden", make)
    return keras.Model(images, x, name="encoder")


def vae_decoder(
    latent_dim: int,
    image_shape: Shape,
    units: int | Sequence[int],
    conv_filters: Sequence[int],
    activation: str,
    likelihood: Likelihood,
    weights: Callable[[], dict[str, Any]],
    dtype: Policy | None,
) -> keras.Model:
    """Return a model from latent vectors to a likelihood's parameters, float32.

    Args:
        latent_dim: Size of a latent vector.
        image_shape: `(height, width, colors)`.
        units: Units of the encoder's hidden layer, or of each of several. Applied in
            reverse order.
        conv_filters: Channels of the encoder's stages. Applied in reverse order, after
            the hidden layers. A stage is a 3×3 convolution, then a transposed 5×5 one
            that doubles height and width.
        activation: Activation of all layers but the last.
        likelihood: `Likelihood` of the images.
        weights: Function that returns the keyword arguments of a new layer, such as
            those of `normal_weights`.
        dtype: Dtype policy of all layers but the last.

    Returns:
        A functional model from `(batch, latent_dim)` to
        `(batch, *likelihood.params_shape(image_shape))`.
    """
    make = _maker(activation, weights, dtype)
    params_shape = likelihood.params_shape(image_shape)
    latents = keras.Input((latent_dim,), name="latent")
    units = units[::-1] if isinstance(units, Sequence) else units
    x = _hidden_layers(latents, units, "decoder_hidden", make)
    last = {"name": "decoder_params", "dtype": "float32", **weights()}
    if conv_filters:
        x = _small_map(x, image_shape, conv_filters[::-1], make, dtype)
        depth = math.prod(params_shape[2:])
        params = layers.Conv2DTranspose(depth, 5, 2, **_MAPS, **last)
    else:
        params = layers.Dense(math.prod(params_shape), **last)
    x = layers.Reshape(params_shape, name="reshape", dtype="float32")(params(x))
    return keras.Model(latents, x, name="decoder")


def _maker(activation, weights, dtype):
    """Return a function that makes a hidden layer of a class, with new weights."""

    def make(layer, *sizes, name):
        maps = {} if layer is layers.Dense else _MAPS
        options = {"activation": activation, "dtype": dtype, **maps, **weights()}
        return layer(*sizes, name=name, **options)

    return make


def _small_map(x, image_shape, conv_filters, make, dtype):
    """Return a map of half the images' height and width, before the last layer."""
    height, width = (side >> len(conv_filters) for side in image_shape[:2])
    shape = height, width, conv_filters[0]
    x = make(layers.Dense, math.prod(shape), name="decoder_features")(x)
    x = layers.Reshape(shape, name="feature_map", dtype=dtype)(x)
    for stage, filters in enumerate(conv_filters, 1):
        if stage > 1:
            name = f"decoder_enlarge_{stage}"
            x = make(layers.Conv2DTranspose, filters, 5, 2, name=name)(x)
        x = make(layers.Conv2D, filters, 3, name=f"decoder_convolution_{stage}")(x)
    return x


def _hidden_layers(x, units, name, make):
    """Apply dense layers; the first has the plain name, the others are numbered."""
    sizes = units if isinstance(units, Sequence) else [units]
    for number, size in enumerate(sizes, 1):
        layer_name = name if number == 1 else f"{name}_{number}"
        x = make(layers.Dense, size, name=layer_name)(x)
    return x
