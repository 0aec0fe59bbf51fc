"""Checks of the arguments that data sets share."""

import numbers


def check_int(name, value, smallest=None):
    """Raise unless `value` is an integer of at least `smallest`.

    Args:
        name: Name of the argument, for the error text.
        value: What was received.
        smallest: Least value allowed. `None` allows all integers.

    Raises:
        ValueError: If `value` is not such an integer.
    """
    if not _is_int(value) or (smallest is not None and value < smallest):
        least = "" if smallest is None else f" of at least {smallest}"
        raise ValueError(
            f"`{name}` must be an integer{least}. Received: {name}={value!r}"
        )


def checked_size(name, value):
    """Return `value` as a pair `(height, width)`, or `None` if it is `None`.

    Args:
        name: Name of the argument, for the error text.
        value: A pair of integers, one integer for both, or `None`.

    Raises:
        ValueError: If `value` is none of these, or below 1.
    """
    if value is None:
        return None
    size = (value, value) if _is_int(value) else value
    is_pair = isinstance(size, (tuple, list)) and len(size) == 2
    if not is_pair or not all(_is_int(side) and side >= 1 for side in size):
        raise ValueError(
            f"`{name}` must be an integer of at least 1, a pair of them (height, "
            f"width), or None. Received: {name}={value!r}"
        )
    return tuple(size)


def check_pixels(binarize, num_values, intensities):
    """Raise unless at most one of the three is asked for, and that within range.

    Args:
        binarize: `None`, `"dynamic"` or `"fixed"`.
        num_values: Number of values that a pixel can take, 2 to 256.
        intensities: Whether pixels are real numbers.

    Raises:
        ValueError: If one is out of range, or they exclude each other.
    """
    if binarize not in (None, "dynamic", "fixed"):
        raise ValueError(
            '`binarize` must be None, "dynamic" or "fixed". '
            f"Received: binarize={binarize!r}"
        )
    if not _is_int(num_values) or not 2 <= num_values <= 256:
        raise ValueError(
            "`num_values` must be an integer from 2 to 256. "
            f"Received: num_values={num_values!r}"
        )
    if (binarize is not None) + (num_values != 256) + bool(intensities) > 1:
        raise ValueError(
            "`binarize`, `num_values` and `intensities` exclude each other. Received: "
            f"binarize={binarize!r}, num_values={num_values!r}, "
            f"intensities={intensities!r}"
        )


def _is_int(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
