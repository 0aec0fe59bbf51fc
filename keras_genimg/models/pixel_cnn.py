"""PixelCNN."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_genimg import likelihoods
from keras_genimg.layers import ResidualMaskedConvBlock
from keras_genimg.models.pixel_network import PixelNetwork
from keras_genimg.networks import pixel_stack
from keras_genimg.ops.configurable import own_arguments
from keras_genimg.presets.settings import PIXEL_CNN
from keras_genimg.types import Config, Policy


@keras.saving.register_keras_serializable(package="keras_genimg")
class PixelCNN(PixelNetwork):
    """PixelCNN: masked convolutions in residual blocks.

    The network is a convolution with mask `"A"`, `num_blocks` residual blocks with a
    skip connection each, and a head of 1×1 convolutions that computes the parameters of
    the likelihood.

    Args:
        image_shape: `(height, width, colors)`; height and width may be None.
        units: Channels inside a block, at least `colors`. Maps between blocks have
            twice as many.
        num_blocks: Number of residual blocks.
        head_filters: Channels of the head.
        likelihood: `"bernoulli"`, `"categorical"` or an object.
        kernel_size: Odd size of the blocks' convolution in pixels.
        first_kernel_size: Odd size of the first convolution in pixels, 7 in the paper.
            With `2 * max(height, width) - 1` or more, each pixel sees all earlier ones;
            with less, it may not see those far to the right in the rows above.
        num_head_layers: Number of 1×1 convolutions in the head.
        skip: Whether every block is connected to the head.
        num_classes: Number of classes, for a model with a second input `"label"`.
        condition_shape: `(height or 1, width or 1, depth)`, for a model with a second
            input `"condition"`, a map that is an input of every block.
        dtype: Dtype policy of the layers; the likelihood's parameters are float32.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Input shape:
        Images in the likelihood's own range, `(batch, height, width, colors)`.

    Output shape:
        Parameters of the likelihood, float32, of its `params_shape` after the batch:
        `(batch, height, width, colors)`, with one more axis for `Categorical`.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> model = PixelCNN((28, 28, 1), units=32, num_blocks=7)
        >>> model.compile("adam")
        >>> history = model.fit(images, epochs=10)
        >>> drawn = model.generate(16, seed=0)

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, sections 3.4 and 3.5, table 1, https://arxiv.org/abs/1601.06759
    """

    presets = PIXEL_CNN

    def __init__(
        self,
        image_shape: Sequence[int | None],
        units: int,
        num_blocks: int,
        head_filters: int = 32,
        likelihood: str | Config | likelihoods.Likelihood = "bernoulli",
        kernel_size: int = 3,
        first_kernel_size: int = 7,
        num_head_layers: int = 2,
        skip: bool = True,
        num_classes: int | None = None,
        condition_shape: Sequence[int | None] | None = None,
        dtype: Policy | None = None,
        **kwargs: Any,
    ):
        arguments = own_arguments(locals(), "image_shape", "likelihood", "dtype")

        def make_block(**options):
            return ResidualMaskedConvBlock(units, kernel_size, **options)

        def network(images, **options):
            return pixel_stack(images, make_block, num_blocks, 2 * units, **options)

        super().__init__(image_shape, likelihood, arguments, network, dtype, **kwargs)
