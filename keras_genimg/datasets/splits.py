"""Splits of data sets that tensorflow_datasets does not hold."""

import types
from collections.abc import Sequence

import numpy as np


def select(split: str, sizes: dict[str, int], owner: str) -> np.ndarray:
    """Return the positions of the examples of a split.

    Args:
        split: A key of `sizes`, `"all"`, or a slice or sum of these in the syntax of
            tensorflow_datasets, such as `"train[:-150]"`.
        sizes: Number of examples of each split; they follow each other.
        owner: Name of the data set, for the error text.

    Returns:
        `int64` array of positions.

    Raises:
        ValueError: If the split is unknown or empty.

    Example:
        >>> select("train[-2:]+test", {"train": 5, "test": 2}, "digits")
        array([3, 4, 5, 6])
    """
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    if split in sizes:
        parts: Sequence[tuple[str, int, int]] = [(split, 0, sizes[split])]
    elif split == "all":
        parts = [(name, 0, size) for name, size in sizes.items()]
    else:
        parts = _parse(split, sizes, owner)
    positions = [np.arange(a, b) + starts[name] for name, a, b in parts]
    found = np.concatenate(positions).astype("int64")
    if not len(found):
        raise ValueError(
            f"`split` of {owner} has no examples. Received: split={split!r}"
        )
    return found


def _parse(split, sizes, owner):
    """Return name, begin and end of the parts of a split."""
    import tensorflow_datasets as tfds

    # All that the parser asks for.
    infos = {n: types.SimpleNamespace(num_examples=s) for n, s in sizes.items()}
    try:
        instruction = tfds.core.ReadInstruction.from_spec(split)
        found = instruction.to_absolute(infos)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"`split` of {owner} must be one of {[*sizes, 'all']}, or a slice or sum "
            f'of them, such as "train[:80%]". Received: split={split!r}'
        ) from error
    return [
        (
            part.splitname,
            part.from_ or 0,
            sizes[part.splitname] if part.to is None else part.to,
        )
        for part in found
    ]
