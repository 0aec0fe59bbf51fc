"""Base class of PixelCNN and PixelRNN."""

from typing import Any

import keras

from keras_genimg.likelihoods import Likelihood
from keras_genimg.models.autoregressive_model import AutoregressiveModel
from keras_genimg.networks import condition_input, pixel_stack
from keras_genimg.ops.checks import (
    check_color_channels,
    check_int,
    check_odd,
    check_positive_int,
)
from keras_genimg.types import Config, SymbolicTensor

_COUNTS = (
    "units",
    "num_blocks",
    "num_layers",
    "head_filters",
    "num_classes",
    "condition_filters",
)
_CHANNELS = ("units", "head_filters")
_KERNEL_SIZES = ("kernel_size", "first_kernel_size")
_STACK_ARGUMENTS = (
    "head_filters",
    "num_head_layers",
    "first_kernel_size",
    "skip",
    "whole_rows",
)


class PixelNetwork(AutoregressiveModel):
    """Base class of the paper's networks that holds their configuration.

    Args:
        inputs: Images, or a list of them and the label or the condition map.
        outputs: Parameters of the likelihood.
        likelihood: `Likelihood` of the images.
        arguments: Dict of all other arguments of the subclass's constructor. They
            become attributes, and `get_config` returns them.
        **kwargs: `name`, `trainable` and `dtype`.
    """

    def __init__(
        self,
        inputs: SymbolicTensor,
        outputs: SymbolicTensor,
        likelihood: str | Config | Likelihood,
        arguments: dict[str, Any],
        **kwargs: Any,
    ):
        super().__init__(inputs, outputs, likelihood, **kwargs)
        self._argument_names = tuple(arguments)
        for name, value in arguments.items():
            setattr(self, name, value)

    @property
    def condition_ranges(self) -> dict[str, tuple[int, int]]:
        num_classes = getattr(self, "num_classes", None)  # A family may not have it.
        return {} if num_classes is None else {"label": (0, num_classes - 1)}

    def get_config(self) -> Config:
        return {
            **self._base_config(),
            "image_shape": self.image_shape,
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
            **{name: getattr(self, name) for name in self._argument_names},
        }


def checked_arguments(owner, image_shape, likelihood, arguments):
    """Validate the arguments of a network; return them with integers as `int`.

    Args:
        owner: Name of the model's class, for the error text.
        image_shape: `(height, width, colors)`; height and width may be None.
        likelihood: `Likelihood` of the images.
        arguments: Dict of arguments of the constructor of `PixelCNN` or `PixelRNN`.

    Raises:
        ValueError: If an argument is invalid.
    """
    image_shape = tuple(image_shape)
    if len(image_shape) != 3 or image_shape[-1] is None:
        raise ValueError(
            f"`image_shape` of {owner} must be (height, width, colors). Received: "
            f"image_shape={image_shape}"
        )
    check_positive_int("colors", image_shape[-1], owner)
    num_classes = arguments.get("num_classes")
    condition_shape = arguments.get("condition_shape")
    if num_classes is not None and condition_shape is not None:
        raise ValueError(
            f"{owner} takes `num_classes` or `condition_shape`, not both. Received: "
            f"num_classes={num_classes}, condition_shape={condition_shape}"
        )
    checked = {}
    for name, value in arguments.items():
        if name in _COUNTS and value is not None:
            value = check_positive_int(name, value, owner)
            if name in _CHANNELS:
                num_colors = likelihood.mask_colors(image_shape[-1])
                check_color_channels(name, value, num_colors, owner)
        elif name == "num_head_layers":
            value = check_int(name, value, owner, smallest=0)
        elif name in _KERNEL_SIZES:
            value = check_odd(name, value, owner, smallest=3)
        checked[name] = value
    return checked


def network_graph(make_layer, depth, image_shape, likelihood, arguments, dtype):
    """Return inputs and outputs of a network, for `keras.Model`.

    Args:
        make_layer: Function that makes a layer of the stack, see
            `keras_genimg.networks.pixel_stack`.
        depth: Number of layers in the stack.
        image_shape: `(height, width, colors)`.
        likelihood: `Likelihood` of the images.
        arguments: Dict returned by `checked_arguments`.
        dtype: Dtype policy of the layers, or None.
    """
    images = keras.Input(image_shape, name="images")
    units = arguments["units"]
    conditions, condition = condition_input(
        arguments["num_classes"], arguments["condition_shape"], units, dtype
    )
    names = [name for name in _STACK_ARGUMENTS if name in arguments]
    outputs = pixel_stack(
        images,
        make_layer,
        depth,
        2 * units,
        likelihood,
        condition=condition,
        dtype=dtype,
        **{name: arguments[name] for name in names},
    )
    return [images, *conditions] if conditions else images, outputs
