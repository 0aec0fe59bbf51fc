"""Network that enlarges an image for the layers of a larger scale."""

import itertools

from keras import layers

from keras_genimg.likelihoods import Likelihood
from keras_genimg.networks.heads import centered
from keras_genimg.types import Policy, SymbolicTensor


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
