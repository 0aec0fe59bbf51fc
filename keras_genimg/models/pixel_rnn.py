"""PixelRNN."""

from collections.abc import Sequence
from typing import Any, Literal

import keras

from keras_genimg import likelihoods
from keras_genimg.layers import ResidualLSTMBlock
from keras_genimg.layers.residual_blocks import make_pixel_lstm
from keras_genimg.models.pixel_network import PixelNetwork
from keras_genimg.networks import pixel_stack
from keras_genimg.ops.configurable import own_arguments
from keras_genimg.presets.settings import PIXEL_RNN
from keras_genimg.types import Config, Policy


@keras.saving.register_keras_serializable(package="keras_genimg")
class PixelRNN(PixelNetwork):
    """PixelRNN: Row LSTM or Diagonal BiLSTM layers in residual blocks.

    The network is a convolution with mask `"A"`, `num_layers` residual blocks with a
    skip connection each, and a head of 1×1 convolutions that computes the parameters of
    the likelihood.

    A Diagonal BiLSTM layer sees the whole past of its input, but the network misses a
    few influences. The first convolution hides each sub-pixel from the features at its
    own position, so no feature of a row contains the row's last sub-pixel. The first
    pixels of the next row see it only within reach of the convolution's kernel.
    `whole_rows` closes this gap, which the paper does not mention.

    Args:
        image_shape: `(height, width, colors)`; height and width may be None.
        units: Units of an LSTM layer, at least `colors`. Maps between blocks have twice
            as many channels.
        num_layers: Number of LSTM layers.
        layer: `"diagonal"` or `"row"`.
        head_filters: Channels of the head.
        likelihood: `"bernoulli"`, `"categorical"` or an object.
        kernel_size: Odd kernel width of a Row LSTM in pixels; not used by diagonal
            layers.
        first_kernel_size: Odd size of the first convolution in pixels.
        num_head_layers: Number of 1×1 convolutions in the head.
        residual: Whether the layers are in residual blocks. Otherwise, the network is a
            stack of LSTM layers of `units` channels.
        skip: Whether every layer is connected to the head.
        whole_rows: Whether a second first convolution sees the whole row above, so that
            every sub-pixel sees its entire past; for images of a known width. Not in
            the paper.
        num_classes: Number of classes, for a model with a second input `"label"`.
        condition_shape: `(height or 1, width or 1, depth)`, for a model with a second
            input `"condition"`, a map that is an input of every layer.
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
        >>> model = PixelRNN((28, 28, 1), units=16, num_layers=7)
        >>> model.compile("adam")
        >>> history = model.fit(images, epochs=10)
        >>> drawn = model.generate(16, seed=0)

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 3, table 1, https://arxiv.org/abs/1601.06759
    """

    presets = PIXEL_RNN

    def __init__(
        self,
        image_shape: Sequence[int | None],
        units: int,
        num_layers: int,
        layer: Literal["diagonal", "row"] = "diagonal",
        head_filters: int = 32,
        likelihood: str | Config | likelihoods.Likelihood = "bernoulli",
        kernel_size: int = 3,
        first_kernel_size: int = 7,
        num_head_layers: int = 2,
        residual: bool = True,
        skip: bool = True,
        whole_rows: bool = False,
        num_classes: int | None = None,
        condition_shape: Sequence[int | None] | None = None,
        dtype: Policy | None = None,
        **kwargs: Any,
    ):
        arguments = own_arguments(locals(), "image_shape", "likelihood", "dtype")
        network = recurrent_network(layer, units, num_layers, kernel_size, residual)
        super().__init__(image_shape, likelihood, arguments, network, dtype, **kwargs)


def recurrent_network(layer, units, num_layers, kernel_size, residual):
    """Return the function that makes the network of a PixelRNN, for `PixelNetwork`.

    Args:
        layer: `"diagonal"` or `"row"`.
        units: Units of an LSTM layer.
        num_layers: Number of LSTM layers.
        kernel_size: Kernel width of a Row LSTM.
        residual: Whether the layers are in residual blocks.
    """

    def make_layer(**options):
        if residual:
            return ResidualLSTMBlock(units, layer, kernel_size, **options)
        return make_pixel_lstm(layer, units, kernel_size, **options)

    def network(images, **options):
        return pixel_stack(images, make_layer, num_layers, 2 * units, **options)

    return network
