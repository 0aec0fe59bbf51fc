"""Changed images, and what they change in the output of a model."""

import numpy as np


def other_values(generator, images, num_values):
    """Return images every sub-pixel of which has another value.

    Args:
        generator: `np.random.Generator`.
        images: Array of integers from 0 to `num_values - 1`.
        num_values: Number of values, at least 2.
    """
    changes = generator.integers(1, num_values, size=images.shape)
    return ((images.astype("int64") + changes) % num_values).astype(images.dtype)


def change_of_units(before, after, num_units):
    """Return by how much each part of some outputs changes.

    Args:
        before: Output for some images, `(images, ...)`, in the order in which the
            images are drawn.
        after: Output for the changed images, of the same shape.
        num_units: Number of parts: sub-pixels or pixels.

    Returns:
        Largest absolute change in each part, float64 of shape `(images, num_units)`.
        Numbers that are not finite, before or after, count as no change: of them
        nothing can be said.
    """
    changes = np.zeros((len(before), num_units))
    for row, (old, new) in enumerate(zip(before, after, strict=True)):
        finite = np.isfinite(old) & np.isfinite(new)
        # In float64, which holds the difference of any two parameters.
        old, new = (np.where(finite, x, 0).astype("float64") for x in (old, new))
        change = new - old
        changes[row] = np.abs(change).reshape(num_units, -1).max(axis=1)
    return changes
