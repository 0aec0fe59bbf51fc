"""Checks of what is drawn, with errors that say what was received."""

import numbers

import numpy as np


def check_images(name, images, axes=("images", "height", "width", "colors")):
    """Return displayable images as an array, or raise if they are none.

    Args:
        name: Name of the argument, for the error text.
        images: What was received.
        axes: Names of the axes. The last must have 1 or 3 entries.

    Raises:
        ValueError: If `images` has another rank or dtype, or no pixels.
    """
    images = np.asarray(images)
    is_batch = images.ndim == len(axes) and images.shape[-1] in (1, 3)
    if not is_batch or images.dtype != np.uint8 or images.size == 0:
        raise ValueError(
            f"`{name}` must be uint8 of shape ({', '.join(axes)}), with 1 or 3 colours "
            f"and at least one pixel. Received: shape={images.shape}, "
            f"dtype={images.dtype}"
        )
    return images


def check_int(name, value, smallest):
    """Raise if `value` is no integer of at least `smallest`.

    Raises:
        ValueError: If it is not.
    """
    is_int = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_int or value < smallest:
        raise ValueError(
            f"`{name}` must be an integer of at least {smallest}. "
            f"Received: {name}={value!r}"
        )
