"""Checks of arguments that several data sets share."""

from typing import Any

from keras_genimg.ops.checks import check_choice, check_int, is_int


def checked_size(name: str, value: Any) -> tuple[int, int] | None:
    """Return `value` as a pair `(height, width)`, or `None` if it is `None`.

    Args:
        name: Name of the argument, for the error text.
        value: A pair of integers, one integer for both, or `None`.

    Raises:
        ValueError: If `value` is none of these, or below 1.
    """
    if value is None:
        return None
    size = (value, value) if is_int(value) else value
    is_pair = isinstance(size, (tuple, list)) and len(size) == 2
    if not is_pair or not all(is_int(side) and side >= 1 for side in size):
        raise ValueError(
            f"`{name}` must be an integer of at least 1, a pair of them (height, "
            f"width), or None. Received: {name}={value!r}"
        )
    height, width = size
    return height, width


def check_pixels(binarize, num_values, intensities):
    """Raise unless each argument is valid and at most one is not its default.

    Args:
        binarize: `None`, `"dynamic"` or `"fixed"`.
        num_values: Number of values of a pixel, 2 to 256.
        intensities: Whether pixels are real numbers.

    Raises:
        ValueError: If an argument is out of range, or they exclude each other.
    """
    check_choice("binarize", binarize, (None, "dynamic", "fixed"))
    check_int("num_values", num_values, smallest=2, largest=256)
    if (binarize is not None) + (num_values != 256) + bool(intensities) > 1:
        raise ValueError(
            "`binarize`, `num_values` and `intensities` exclude each other. Received: "
            f"binarize={binarize!r}, num_values={num_values!r}, "
            f"intensities={intensities!r}"
        )
