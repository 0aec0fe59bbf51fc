"""What autoregressive networks begin and end with."""

import math

import keras
from keras import layers

from keras_genimg.layers import MaskedConv2D, SplitColors
from keras_genimg.likelihoods import Likelihood
from keras_genimg.types import Policy, SymbolicTensor


def centered(
    images: SymbolicTensor, likelihood: Likelihood, name: str = "center"
) -> SymbolicTensor:
    """Return images scaled to -1..1, so that the zeros of a padding are no pixel value.

    Args:
        images: Images in the likelihood's own range, `(batch, height, width, colors)`.
        likelihood: `Likelihood` of the images.
        name: Name of the layer.

    Returns:
        A symbolic float32 tensor of the same shape.
    """
    scale = 2 / likelihood.max_value
    return layers.Rescaling(scale, -1, name=name, dtype="float32")(images)


def head_layers(
    filters: int, num_layers: int, num_colors: int, dtype: Policy | None
) -> list[keras.Layer]:
    """Return the 1×1 convolutions of a head, for `with_head`.

    Args:
        filters: Channels of each.
        num_layers: Number of convolutions.
        num_colors: Number of colors that the channels are split into.
        dtype: Dtype policy.
    """
    return [
        MaskedConv2D(filters, 1, "B", num_colors, name=f"head_{index}", dtype=dtype)
        for index in range(num_layers)
    ]


def with_head(
    x: SymbolicTensor,
    head: list[keras.Layer],
    likelihood: Likelihood,
    num_colors: int,
    dtype: Policy | None,
) -> SymbolicTensor:
    """Return a likelihood's parameters, computed by a head with a ReLU a layer.

    Args:
        x: Symbolic features, `(batch, height, width, channels)`.
        head: What `head_layers` returned.
        likelihood: `Likelihood` of the images.
        num_colors: Number of colors of the images.
        dtype: Dtype policy of the activations.

    Returns:
        Symbolic parameters, float32, of `likelihood.params_shape` after the batch.
    """
    # Explicit names, since default names contain a process-wide counter.
    for layer in head:
        x = layer(layers.ReLU(name=f"{layer.name}_relu", dtype=dtype)(x))
    x = layers.ReLU(name="logits_relu", dtype=dtype)(x)
    return likelihood_head(x, likelihood, num_colors)


def likelihood_head(
    x: SymbolicTensor, likelihood: Likelihood, num_colors: int
) -> SymbolicTensor:
    """Return a likelihood's parameters, computed from a causal network's features.

    The likelihood provides the last layers of the network, see `Likelihood.head`: by
    default a 1×1 convolution `"logits"`, followed by `"split_colors"` if each color has
    several parameters.

    Args:
        x: Symbolic features, `(batch, height, width, channels)`.
        likelihood: `Likelihood` of the images.
        num_colors: Number of colors of the images. Earlier layers must have
            `num_colors=likelihood.mask_colors(num_colors)`.

    Returns:
        Symbolic parameters, float32, of `likelihood.params_shape` after the batch.
    """
    mask_colors = likelihood.mask_colors(num_colors)

    def convolve(x, shape):
        x = MaskedConv2D(
            math.prod(shape), 1, "B", mask_colors, name="logits", dtype="float32"
        )(x)
        if len(shape) == 1:
            return x
        return SplitColors(shape[0], name="split_colors", dtype="float32")(x)

    return likelihood.head(x, num_colors, convolve)
