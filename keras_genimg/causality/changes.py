"""Changes of images, and the changes of model output they cause."""

import numpy as np


def other_values(generator, images, num_values):
    """Return images that differ from `images` in every sub-pixel.

    Args:
        generator: `np.random.Generator`.
        images: Array of integers from 0 to `num_values - 1`.
        num_values: Number of values, at least 2.
    """
    changes = generator.integers(1, num_values, size=images.shape)
    return ((images.astype("int64") + changes) % num_values).astype(images.dtype)


def change_of_units(before, after, num_units):
    """Return the largest change of the output in each unit.

    Args:
        before: Output for the original images, `(images, ...)`, in the order in which
            pixels are drawn.
        after: Output for the changed images, of the same shape.
        num_units: Number of units (sub-pixels or pixels) of an image.

    Returns:
        Largest absolute change in each unit, float64 of shape `(images, num_units)`.
        Values that are not finite before or after count as unchanged.
    """
    changes = np.zeros((len(before), num_units))
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        finite = np.isfinite(old) & np.isfinite(new)
        # The difference of two float32 parameters can overflow float32.
        old, new = (np.where(finite, x, 0).astype("float64") for x in (old, new))
        change = new - old
        changes[index] = np.abs(change).reshape(num_units, -1).max(axis=1)
    return changes
