"""Gated PixelCNN."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_genimg import likelihoods
from keras_genimg.models.pixel_network import PixelNetwork
from keras_genimg.networks import gated_pixel_stack
from keras_genimg.ops.configurable import own_arguments
from keras_genimg.presets.settings import GATED_PIXEL_CNN
from keras_genimg.types import Config, Policy


@keras.saving.register_keras_serializable(package="keras_genimg")
class GatedPixelCNN(PixelNetwork):
    """Gated PixelCNN: two stacks of gated convolutions without a blind spot.

    The vertical stack sees all rows above a pixel, the horizontal stack the pixels to
    its left and the vertical stack. Both have a layer with mask `"A"`, followed by
    `num_blocks` layers with mask `"B"`. A head of 1×1 convolutions computes the
    parameters of the likelihood.

    The network sees every earlier pixel if `first_kernel_size // 2 + num_blocks *
    (kernel_size // 2)` is at least the height and the width of the image, minus 1.

    Args:
        image_shape: `(height, width, colors)`; height and width may be None.
        units: Channels of a gate, at least `colors`.
        num_blocks: Number of pairs of layers after the first.
        head_filters: Channels of the head.
        likelihood: `"bernoulli"`, `"categorical"` or an object.
        kernel_size: Odd width of all kernels but the first ones, in pixels.
        first_kernel_size: Odd width of the first kernel of each stack, in pixels.
        num_head_layers: Number of 1×1 convolutions in the head.
        num_classes: Number of classes, for a model with a second input `"label"`.
        condition_shape: `(height or 1, width or 1, depth)`, for a model with a second
            input `"condition"`, a map that is an input of every gate.
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
        >>> model = GatedPixelCNN((28, 28, 1), units=32, num_blocks=7)
        >>> model.compile("adam")
        >>> history = model.fit(images, epochs=10)
        >>> drawn = model.generate(16, seed=0)

    References:
        van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016,
        section 2 and figure 2, https://arxiv.org/abs/1606.05328
    """

    presets = GATED_PIXEL_CNN

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
        num_classes: int | None = None,
        condition_shape: Sequence[int | None] | None = None,
        dtype: Policy | None = None,
        **kwargs: Any,
    ):
        arguments = own_arguments(locals(), "image_shape", "likelihood", "dtype")

        def network(images, **options):
            return gated_pixel_stack(
                images, units, num_blocks, kernel_size=kernel_size, **options
            )

        super().__init__(image_shape, likelihood, arguments, network, dtype, **kwargs)
