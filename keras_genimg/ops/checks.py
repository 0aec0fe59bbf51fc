"""Checks of arguments, with errors that show the received value."""

import contextlib
import math
import numbers
from typing import Any

import numpy as np

from keras_genimg.types import AxisSize


def is_int(value: object) -> bool:
    """Return whether a value is an integer, of Python or NumPy, and no boolean."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def as_array(name: str, value: Any, owner: str | None = None) -> np.ndarray:
    """Return `value` as an array.

    Raises:
        ValueError: If lists of one level differ in length.
    """
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{_named(name, owner)} must be an array, or lists of equal lengths. "
            f"Received: {name}={value!r:.200}"
        ) from error


def is_real(array: np.ndarray) -> bool:
    """Return whether an array has real numbers or booleans, also those of bfloat16."""
    return np.can_cast(array.dtype, np.float64)


def check_int(
    name: str,
    value: Any,
    owner: str | None = None,
    smallest: int | None = None,
    largest: int | None = None,
) -> int:
    """Return `value` as an `int`, or raise if it is not an integer in range.

    Args:
        name: Name of the argument, for the error text.
        value: Value received.
        owner: Name of the class or function that takes the argument, for the error
            text.
        smallest: Smallest value allowed; `None` for no limit.
        largest: Largest value allowed, if there is a smallest one; `None` for no limit.

    Raises:
        ValueError: If `value` is not an integer in range.
    """
    fits = is_int(value) and (smallest is None or value >= smallest)
    if not fits or (largest is not None and value > largest):
        limits = "" if smallest is None else f" of at least {smallest}"
        if largest is not None:
            limits = f" from {smallest} to {largest}"
        raise ValueError(
            f"{_named(name, owner)} must be an integer{limits}. "
            f"Received: {name}={value!r}"
        )
    return int(value)


def check_positive_int(name: str, value: Any, owner: str | None = None) -> int:
    """Return `value` as an `int`, or raise if it is not an integer above 0.

    Args:
        name: Name of the argument, for the error text.
        value: Value received.
        owner: Name of the class or function that takes the argument.

    Raises:
        ValueError: If `value` is not an integer of at least 1.
    """
    return check_int(name, value, owner, smallest=1)


def check_odd(name: str, value: Any, owner: str, smallest: int = 1) -> int:
    """Return `value` as an `int`, or raise if it is even or below `smallest`.

    Raises:
        ValueError: If `value` is not an odd integer of at least `smallest`.
    """
    value = check_positive_int(name, value, owner)
    if value % 2 == 0 or value < smallest:
        raise ValueError(
            f"`{name}` of {owner} must be odd and at least {smallest}, so that the "
            f"kernel has a center. Received: {name}={value}"
        )
    return value


def check_image_shape(
    image_shape: Any, owner: str, any_size: bool = False
) -> tuple[AxisSize, AxisSize, int]:
    """Return `image_shape` as three positive integers.

    Args:
        image_shape: Value received.
        owner: Name of the class that takes the argument, for the error text.
        any_size: Whether height and width may be None.

    Raises:
        ValueError: If it is not `(height, width, colors)`.
    """
    sizes = tuple(image_shape) if np.iterable(image_shape) else ()
    if len(sizes) != 3:
        raise ValueError(
            f"`image_shape` of {owner} must be (height, width, colors). Received: "
            f"image_shape={image_shape!r}"
        )
    height, width = (
        size if any_size and size is None else check_positive_int(name, size, owner)
        for name, size in zip(("height", "width"), sizes[:2], strict=True)
    )
    return height, width, check_positive_int("colors", sizes[2], owner)


def check_temperature(temperature: Any) -> None:
    """Raise unless a temperature is a finite number above 0.

    Raises:
        ValueError: If it is not.
    """
    number = 0.0
    # Texts, and complex numbers of NumPy, have `__float__`.
    is_number = hasattr(temperature, "__float__") and np.ndim(temperature) == 0
    if is_number and np.asarray(temperature).dtype.kind not in "cSU":
        # Integers may be too large, and objects may be no numbers.
        with contextlib.suppress(OverflowError, TypeError, ValueError):
            number = float(temperature)
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(
            f"`temperature` must be a finite number above 0. Received: "
            f"temperature={temperature!r}"
        )


def check_choice(name, value, choices, owner=None):
    """Return `value`, or raise if it is not one of `choices`.

    Raises:
        ValueError: If `value` is not among `choices`.
    """
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(
            f"{_named(name, owner)} must be one of {listed}. Received: {name}={value!r}"
        )
    return value


def check_color_channels(name, channels, num_colors, owner):
    """Raise if `channels` maps cannot be split into `num_colors` groups.

    Raises:
        ValueError: If there are fewer channels than colors.
    """
    if channels < num_colors:
        raise ValueError(
            f"`{name}` of {owner} must be at least `num_colors`, since every color "
            f"needs at least one channel. Received: {name}={channels}, "
            f"num_colors={num_colors}"
        )


def check_feature_map(shape, num_colors, owner):
    """Raise if `owner` cannot read a feature map of the given shape.

    Args:
        shape: Shape of the input, `(batch, height, width, channels)` expected.
        num_colors: Number of colors the channels are split into.
        owner: Name of the layer.

    Raises:
        ValueError: If the rank is not 4, the channel count is unknown, or there are
            fewer channels than colors.
    """
    if len(shape) != 4 or shape[-1] is None:
        raise ValueError(
            f"{owner} expects a map of shape (batch, height, width, channels), with "
            f"channels known. Received an input of rank {len(shape)}: "
            f"shape={tuple(shape)}"
        )
    check_color_channels("input channels", shape[-1], num_colors, owner)


def check_condition(inputs_shape, shape, owner, name="condition", broadcasts=True):
    """Raise if a condition map does not match the input of a layer.

    Args:
        inputs_shape: `(batch, height, width, channels)`.
        shape: `(batch, height or 1, width or 1, depth)` expected.
        owner: Name of the layer.
        name: Name of the argument.
        broadcasts: Whether a height or width of 1 fits every input.

    Raises:
        ValueError: If the rank, height or width do not match, or the depth is unknown.
    """
    fits = len(shape) == 4 and shape[-1] is not None
    for want, have in zip(inputs_shape[1:3], shape[1:3], strict=False):
        fits &= None in (want, have) or have == want or (broadcasts and have == 1)
    if not fits:
        or_1 = " or 1" if broadcasts else ""
        raise ValueError(
            f"`{name}` of {owner} must have the shape (batch, height{or_1}, "
            f"width{or_1}, depth) for an input of shape {tuple(inputs_shape)}. "
            f"Received: shape={tuple(shape)}"
        )


def check_built_with_condition(weights, condition, owner):
    """Raise if a layer is called with a condition that it has no weights for.

    Args:
        weights: The layer's weights for a condition, or None.
        condition: The condition, or None.
        owner: Name of the layer.

    Raises:
        ValueError: If there is a condition, but no weights.
    """
    if condition is not None and weights is None:
        raise ValueError(
            f"{owner} was built without `condition`, so it has no weights for one. "
            f"Pass it in the first call too. Received: condition of shape "
            f"{tuple(condition.shape)}"
        )


def _named(name, owner):
    return f"`{name}`" if owner is None else f"`{name}` of {owner}"
