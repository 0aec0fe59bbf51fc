"""PixelCNN, PixelRNN and Gated PixelCNN."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np

from keras_genimg import likelihoods
from keras_genimg.layers import ResidualLSTMBlock, ResidualMaskedConvBlock
from keras_genimg.layers.residual_blocks import make_pixel_lstm
from keras_genimg.models.autoregressive_model import AutoregressiveModel
from keras_genimg.networks import condition_input, gated_pixel_stack, pixel_stack
from keras_genimg.networks.pixel_stacks import classes_by_input
from keras_genimg.ops.checks import (
    check_color_channels,
    check_image_shape,
    check_int,
    check_odd,
)
from keras_genimg.ops.configurable import own_arguments
from keras_genimg.presets.settings import GATED_PIXEL_CNN, PIXEL_CNN, PIXEL_RNN
from keras_genimg.types import Config, Policy, SymbolicTensor

# Smallest values of the arguments that are counts.
_SMALLEST = {
    "units": 1,
    "num_blocks": 1,
    "num_layers": 1,
    "head_filters": 1,
    "num_head_layers": 0,
}


class PixelNetwork(AutoregressiveModel):
    """Base class of the papers' networks: builds them and holds their configuration.

    Args:
        arguments: Dict of all arguments of the subclass's constructor, from
            `own_arguments`. They become attributes, and `get_config` returns them.
        network: Function of symbolic images that returns the parameters of the
            likelihood. Its keyword arguments are `arguments`, without `image_shape`,
            `num_classes`, `class_names` and `condition_shape`, and the map `condition`,
            or None.
        condition: List of inputs besides the images, and the map for the layers that is
            made of them; by default as `num_classes` or `condition_shape` say.
        **kwargs: `name` and `trainable`.

    Raises:
        ValueError: If an argument is invalid.
    """

    def __init__(
        self,
        arguments: dict[str, Any],
        network: Callable[..., SymbolicTensor],
        condition: tuple[list[SymbolicTensor], SymbolicTensor] | None = None,
        **kwargs: Any,
    ):
        arguments = _checked_arguments(type(self).__name__, arguments)
        if "class_names" in arguments:
            kwargs["class_names"] = arguments.pop("class_names")
        options = dict(arguments)
        classes = options.pop("num_classes", None)
        shape = options.pop("condition_shape", None)
        images = keras.Input(options.pop("image_shape"), name="images")
        likelihood, dtype = arguments["likelihood"], arguments["dtype"]
        inputs, as_map = condition or condition_input(
            classes, shape, arguments["units"], dtype
        )
        outputs = network(images, condition=as_map, **options)
        ranges = None
        if classes is not None:
            counts = classes_by_input(classes)
            ranges = {name: (0, count - 1) for name, count in counts.items()}
        super().__init__(
            [images, *inputs], outputs, likelihood, ranges, dtype=dtype, **kwargs
        )
        self._keep(**arguments)

    def get_config(self) -> Config:
        return self._kept_config()


def _checked_arguments(owner, arguments):
    """Validate the arguments of a network; return them with integers as `int`.

    Args:
        owner: Name of the model's class, for the error text.
        arguments: Dict of arguments of the constructor.

    Raises:
        ValueError: If an argument is invalid.
    """
    likelihood = likelihoods.get(arguments["likelihood"])
    image_shape = check_image_shape(arguments["image_shape"], owner, any_size=True)
    num_classes = arguments.get("num_classes")
    condition_shape = arguments.get("condition_shape")
    if num_classes is not None and condition_shape is not None:
        raise ValueError(
            f"{owner} takes `num_classes` or `condition_shape`, not both. Received: "
            f"num_classes={num_classes}, condition_shape={condition_shape}"
        )
    checked = {**arguments, "likelihood": likelihood, "image_shape": image_shape}
    if isinstance(condition_shape, np.ndarray):  # Keras could not read it in a config.
        checked["condition_shape"] = tuple(condition_shape.tolist())
    for name, value in arguments.items():
        if name == "num_classes" and value is not None:
            checked[name] = _checked_classes(value, owner)
        elif name in _SMALLEST:
            checked[name] = check_int(name, value, owner, _SMALLEST[name])
        elif name in ("kernel_size", "first_kernel_size"):
            checked[name] = check_odd(name, value, owner, smallest=3)
        if name in ("units", "head_filters"):
            num_colors = likelihood.mask_colors(image_shape[-1])
            check_color_channels(name, checked[name], num_colors, owner)
    return checked


def _checked_classes(num_classes, owner):
    """Return numbers of classes as `int`, alone or in a dict by name of the input."""
    if not isinstance(num_classes, dict):
        return check_int("num_classes", num_classes, owner, 1)
    if not num_classes or "images" in num_classes:
        raise ValueError(
            f"`num_classes` of {owner} must be an integer, or a dict of integers by "
            f"the name of a further input, such as {{'order': 8, 'label': 10}}. "
            f"Received: num_classes={num_classes!r}"
        )
    return {
        name: check_int(f"num_classes[{name!r}]", count, owner, 1)
        for name, count in num_classes.items()
    }


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
        likelihood: `"bernoulli"`, `"categorical"`, `"logistic_mixture"` or an object.
        kernel_size: Odd size of the blocks' convolution in pixels.
        first_kernel_size: Odd size of the first convolution in pixels, 7 in the paper.
            With `2 * max(height, width) - 1` or more, each pixel sees all earlier ones;
            with less, it may not see those far to the right in the rows above.
        num_head_layers: Number of 1×1 convolutions in the head.
        skip: Whether every block is connected to the head.
        num_classes: Number of classes, for a model with a second input `"label"`; or a
            dict of numbers by the name of a further input, as
            `{"order": 8, "label": 10}`.
        class_names: Names of the classes, in the order of their labels. `.keras` files
            and the metadata of exports have them.
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
        num_classes: int | dict[str, int] | None = None,
        class_names: Sequence[str] | None = None,
        condition_shape: Sequence[int | None] | None = None,
        dtype: Policy | None = None,
        **kwargs: Any,
    ):
        super().__init__(own_arguments(locals()), _convolutional_network, **kwargs)


def _convolutional_network(images, units, num_blocks, kernel_size, **options):
    """Return the parameters that a PixelCNN computes, see `PixelNetwork`."""
    make_block = functools.partial(ResidualMaskedConvBlock, units, kernel_size)
    return pixel_stack(images, make_block, num_blocks, 2 * units, **options)


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
        likelihood: `"bernoulli"`, `"categorical"`, `"logistic_mixture"` or an object.
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
        num_classes: Number of classes, for a model with a second input `"label"`; or a
            dict of numbers by the name of a further input, as
            `{"order": 8, "label": 10}`.
        class_names: Names of the classes, in the order of their labels. `.keras` files
            and the metadata of exports have them.
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
        num_classes: int | dict[str, int] | None = None,
        class_names: Sequence[str] | None = None,
        condition_shape: Sequence[int | None] | None = None,
        dtype: Policy | None = None,
        **kwargs: Any,
    ):
        super().__init__(own_arguments(locals()), recurrent_network, **kwargs)


def recurrent_network(
    images, units, num_layers, layer, kernel_size, residual, **options
):
    """Return the parameters that a PixelRNN computes, see `PixelNetwork`.

    Args:
        images: Symbolic images.
        units: Units of an LSTM layer.
        num_layers: Number of LSTM layers.
        layer: `"diagonal"` or `"row"`.
        kernel_size: Kernel width of a Row LSTM.
        residual: Whether the layers are in residual blocks.
        **options: Other arguments of `pixel_stack`.
    """
    if residual:
        make_layer = functools.partial(ResidualLSTMBlock, units, layer, kernel_size)
    else:
        make_layer = functools.partial(make_pixel_lstm, layer, units, kernel_size)
    return pixel_stack(images, make_layer, num_layers, 2 * units, **options)


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
        likelihood: `"bernoulli"`, `"categorical"`, `"logistic_mixture"` or an object.
        kernel_size: Odd width of all kernels but the first ones, in pixels.
        first_kernel_size: Odd width of the first kernel of each stack, in pixels.
        num_head_layers: Number of 1×1 convolutions in the head.
        num_classes: Number of classes, for a model with a second input `"label"`; or a
            dict of numbers by the name of a further input, as
            `{"order": 8, "label": 10}`.
        class_names: Names of the classes, in the order of their labels. `.keras` files
            and the metadata of exports have them.
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
        num_classes: int | dict[str, int] | None = None,
        class_names: Sequence[str] | None = None,
        condition_shape: Sequence[int | None] | None = None,
        dtype: Policy | None = None,
        **kwargs: Any,
    ):
        super().__init__(own_arguments(locals()), _gated_network, **kwargs)


def _gated_network(images, num_blocks, **options):
    """Return the parameters that a Gated PixelCNN computes, see `PixelNetwork`."""
    return gated_pixel_stack(images, depth=num_blocks, **options)
