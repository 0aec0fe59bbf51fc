"""Base class of PixelCNN and PixelRNN."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_genimg import likelihoods
from keras_genimg.models.autoregressive_model import AutoregressiveModel
from keras_genimg.networks import condition_input
from keras_genimg.ops.checks import (
    check_color_channels,
    check_image_shape,
    check_int,
    check_odd,
    check_positive_int,
)
from keras_genimg.types import Config, Policy, SymbolicTensor

_COUNTS = (
    "units",
    "num_blocks",
    "num_layers",
    "head_filters",
    "num_classes",
    "condition_filters",
)
_STACK_ARGUMENTS = (
    "head_filters",
    "num_head_layers",
    "first_kernel_size",
    "skip",
    "whole_rows",
)


class PixelNetwork(AutoregressiveModel):
    """Base class of the paper's networks: builds them and holds their configuration.

    Args:
        image_shape: `(height, width, colors)`; height and width may be None.
        likelihood: `Likelihood` of the images, its name or config.
        arguments: Dict of all other arguments of the subclass's constructor, from
            `own_arguments`. They become attributes, and `get_config` returns them.
        network: Function of symbolic images that returns the parameters of the
            likelihood. Its keyword arguments are those of
            `keras_genimg.networks.pixel_stack` that are among `arguments`, and
            `likelihood`, `condition` and `dtype`.
        dtype: Dtype policy of the layers, or None.
        make_condition: Function that returns a list of inputs besides the images, and
            the map for the layers that is made of them; by default as `num_classes` or
            `condition_shape` say.
        **kwargs: `name` and `trainable`.

    Raises:
        ValueError: If an argument is invalid.
    """

    def __init__(
        self,
        image_shape: Sequence[int | None],
        likelihood: str | Config | likelihoods.Likelihood,
        arguments: dict[str, Any],
        network: Callable[..., SymbolicTensor],
        dtype: Policy | None = None,
        make_condition: Callable[[], Any] | None = None,
        **kwargs: Any,
    ):
        likelihood = likelihoods.get(likelihood)
        owner = type(self).__name__
        image_shape = check_image_shape(image_shape, owner, any_size=True)
        num_colors = likelihood.mask_colors(image_shape[-1])
        arguments = _checked_arguments(owner, num_colors, arguments)
        classes = arguments.get("num_classes")
        images = keras.Input(image_shape, name="images")
        if make_condition is not None:
            conditions, condition = make_condition()
        else:
            conditions, condition = condition_input(
                classes, arguments.get("condition_shape"), arguments["units"], dtype
            )
        outputs = network(
            images,
            likelihood=likelihood,
            condition=condition,
            dtype=dtype,
            **{name: arguments[name] for name in _STACK_ARGUMENTS if name in arguments},
        )
        inputs = [images, *conditions]
        ranges = None if classes is None else {"label": (0, classes - 1)}
        super().__init__(inputs, outputs, likelihood, ranges, dtype=dtype, **kwargs)
        self._argument_names = tuple(arguments)
        for name, value in arguments.items():
            setattr(self, name, value)

    def get_config(self) -> Config:
        return {
            **self._base_config(),
            "image_shape": self.image_shape,
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
            **{name: getattr(self, name) for name in self._argument_names},
        }


def _checked_arguments(owner, num_colors, arguments):
    """Validate the arguments of a network; return them with integers as `int`.

    Args:
        owner: Name of the model's class, for the error text.
        num_colors: Number of colors that channels are split into.
        arguments: Dict of arguments of the constructor.

    Raises:
        ValueError: If an argument is invalid.
    """
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
            if name in ("units", "head_filters"):
                check_color_channels(name, value, num_colors, owner)
        elif name == "num_head_layers":
            value = check_int(name, value, owner, smallest=0)
        elif name in ("kernel_size", "first_kernel_size"):
            value = check_odd(name, value, owner, smallest=3)
        checked[name] = value
    return checked
