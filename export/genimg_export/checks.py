"""Checks of arguments, with errors that show the received value."""

import numbers


def check_int(name, value, owner, smallest=1):
    """Return `value` as an `int`, or raise if it is not an integer in range.

    Args:
        name: Name of the argument, for the error text.
        value: Value received.
        owner: Name of the function that takes the argument, for the error text.
        smallest: Smallest value allowed.

    Raises:
        ValueError: If `value` is not an integer of at least `smallest`.
    """
    is_int = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_int or value < smallest:
        raise ValueError(
            f"`{name}` of {owner} must be an integer of at least {smallest}. "
            f"Received: {name}={value!r}"
        )
    return int(value)
