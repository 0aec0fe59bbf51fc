"""Networks and layers between the scales of an image."""

import itertools
from typing import Any

import keras
from keras import layers

from keras_genimg.likelihoods import Likelihood
from keras_genimg.networks.pixel_stacks import centered
from keras_genimg.ops.configurable import arguments_of
from keras_genimg.ops.scales import is_copied, packed, placed, reduced
from keras_genimg.types import Config, Policy, SymbolicTensor


def upsampling_network(
    images: SymbolicTensor,
    factors: tuple[int, int],
    filters: int,
    likelihood: Likelihood,
    dtype: Policy | None = None,
) -> SymbolicTensor:
    """Return a condition map for images that are `factors` times as high and wide.

    Images are scaled to -1..1 and enlarged by transposed convolutions, one for each
    prime factor, with a ReLU after each. Every pixel of the map sees the small pixels
    around it. The paper publishes neither number nor sizes of these convolutions.

    Args:
        images: Symbolic small images in the likelihood's own range,
            `(batch, height, width, colors)`.
        factors: How many times higher and wider the map is.
        filters: Channels of the map and of the maps in between; c in the paper.
        likelihood: `Likelihood` of the images.
        dtype: Dtype policy of the convolutions.

    Returns:
        Symbolic map, `(batch, height * factors[0], width * factors[1], filters)`.

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 3.4 (Multi-Scale PixelRNN), https://arxiv.org/abs/1601.06759
    """
    x = centered(images, likelihood, name="center_small")
    steps = itertools.zip_longest(*map(_prime_factors, factors), fillvalue=1)
    for index, strides in enumerate(steps):
        x = layers.Conv2DTranspose(
            filters,
            # At least the stride, so that no pixel is left out, and its neighbors.
            tuple(stride + 2 for stride in strides),
            strides,
            padding="same",
            data_format="channels_last",
            activation="relu",
            name=f"upsampling_{index}",
            dtype=dtype,
        )(x)
    return x


def _prime_factors(number):
    """Return the prime factors of a number, the largest first."""
    for divisor in range(2, number + 1):
        if number % divisor == 0:
            return [*_prime_factors(number // divisor), divisor]
    return []


@keras.saving.register_keras_serializable(package="keras_genimg")
class Subsample(keras.layers.Layer):
    """Layer that keeps the top-left pixel of each cell, or the mean.

    Args:
        factors: Height and width of a cell in pixels.
        subsampling: `"top_left"` or `"box"`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, height / factors[0], width / factors[1], channels)`.
    """

    def __init__(
        self, factors: tuple[int, int], subsampling: str = "top_left", **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.factors = tuple(factors)
        self.subsampling = subsampling

    def call(self, inputs):
        return reduced(inputs, self.factors, self.subsampling)

    def get_config(self) -> Config:
        return {**super().get_config(), **arguments_of(self, Subsample)}


@keras.saving.register_keras_serializable(package="keras_genimg")
class MergeScales(keras.layers.Layer):
    """Layer that replaces the copied pixels of a map by those of a smaller map.

    Args:
        factors: How many times higher and wider the large map is.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        large: Map of shape `(batch, height, width, ...)`.
        small: Map of shape `(batch, height / factors[0], width / factors[1], ...)`.

    Output shape:
        That of `large`.
    """

    def __init__(self, factors: tuple[int, int], **kwargs: Any):
        super().__init__(**kwargs)
        self.factors = tuple(factors)

    def call(self, large, small):
        copied = is_copied(tuple(large.shape[1:3]), self.factors)
        copied = copied.reshape(1, *copied.shape, *[1] * (len(large.shape) - 3))
        return keras.ops.where(copied, placed(small, self.factors), large)

    def get_config(self) -> Config:
        return {**super().get_config(), "factors": self.factors}


@keras.saving.register_keras_serializable(package="keras_genimg")
class PackScales(keras.layers.Layer):
    """Layer that joins the maps of all scales to one map of width 1.

    Call arguments:
        maps: List of maps of shape `(batch, height, width, ...)`.

    Output shape:
        `(batch, pixels of all maps, 1, ...)`.
    """

    def call(self, maps):
        return packed(maps)
