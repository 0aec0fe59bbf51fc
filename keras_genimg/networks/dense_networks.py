"""Encoder and decoder of the VAE paper, with any number of hidden layers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from keras_genimg.likelihoods import Likelihood
from keras_genimg.types import Policy, Shape


def normal_weights(stddev: float | None, weight_prior: int | None) -> dict[str, Any]:
    """Return initializer and regularizer arguments for a layer.

    Args:
        stddev: Standard deviation of the initial weights; None for those that Keras
            gives a layer, Glorot's.
        weight_prior: Number of training images that share the prior N(0, I), or None.

    Returns:
        Dict of keyword arguments of `keras.layers.Dense`.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, section 5,
        https://arxiv.org/abs/1312.6114
    """
    arguments = {}
    for prefix in ("kernel", "bias"):
        # Separate objects, since an initializer that is used twice gives the same
        # values.
        if stddev is not None:
            normal = keras.initializers.RandomNormal(stddev=stddev)
            arguments[f"{prefix}_initializer"] = normal
        if weight_prior is not None:
            decay = keras.regularizers.L2(0.5 / weight_prior)
            arguments[f"{prefix}_regularizer"] = decay
    return arguments


def dense_encoder(
    image_shape: Shape,
    units: int | Sequence[int],
    likelihood: Likelihood,
    weights: Callable[[], dict[str, Any]],
    dtype: Policy | None,
) -> keras.Model:
    """Return a model from images to hidden layers of tanh units.

    Args:
        image_shape: `(height, width, colors)`.
        units: Units of the hidden layer, or of each of several.
        likelihood: `Likelihood`, whose `max_value` images are divided by.
        weights: Function that returns the keyword arguments of a new layer, such as
            those of `normal_weights`.
        dtype: Dtype policy of the hidden layers.

    Returns:
        A functional model from `(batch, *image_shape)` to `(batch, last units)`.
    """
    images = keras.Input(image_shape, name="images")
    # An explicit name, since default names contain a process-wide counter.
    scale = 1 / likelihood.max_value
    x = layers.Rescaling(scale, name="scale", dtype="float32")(images)
    x = layers.Flatten(name="flatten", dtype=dtype)(x)
    x = _hidden_layers(x, units, "encoder_hidden", weights, dtype)
    return keras.Model(images, x, name="encoder")


def dense_decoder(
    latent_dim: int,
    image_shape: Shape,
    units: int | Sequence[int],
    likelihood: Likelihood,
    weights: Callable[[], dict[str, Any]],
    dtype: Policy | None,
) -> keras.Model:
    """Return a model from latent vectors to a likelihood's parameters, float32.

    Args:
        latent_dim: Size of a latent vector.
        image_shape: `(height, width, colors)`.
        units: Units of the hidden layer, or of each of several.
        likelihood: `Likelihood` of the images.
        weights: Function that returns the keyword arguments of a new layer, such as
            those of `normal_weights`.
        dtype: Dtype policy of the hidden layers.

    Returns:
        A functional model from `(batch, latent_dim)` to
        `(batch, *likelihood.params_shape(image_shape))`.
    """
    params_shape = likelihood.params_shape(image_shape)
    latents = keras.Input((latent_dim,), name="latent")
    hidden = _hidden_layers(latents, units, "decoder_hidden", weights, dtype)
    params = layers.Dense(
        math.prod(params_shape), name="decoder_params", dtype="float32", **weights()
    )
    x = params(hidden)
    x = layers.Reshape(params_shape, name="reshape", dtype="float32")(x)
    return keras.Model(latents, x, name="decoder")


def _hidden_layers(x, units, name, weights, dtype):
    """Apply tanh layers; the first has the plain name, the others are numbered."""
    sizes = units if isinstance(units, Sequence) else [units]
    for number, size in enumerate(sizes, 1):
        layer_name = name if number == 1 else f"{name}_{number}"
        layer = layers.Dense(size, "tanh", name=layer_name, dtype=dtype, **weights())
        x = layer(x)
    return x
