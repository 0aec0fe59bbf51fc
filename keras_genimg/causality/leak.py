"""Pairs of sub-pixels of which the first must not change the second, in words."""

import dataclasses

import numpy as np


def name_sub_pixel(sub_pixel):
    """Return "(row 0, column 1, color 2)", without the color if there is none."""
    parts = zip(("row", "column", "color"), sub_pixel, strict=False)
    return f"({', '.join(f'{part} {number}' for part, number in parts)})"


def worst_pair(pairs):
    """Return the pair that tells most of what is wrong with a model, and the reason.

    Args:
        pairs: Integers of shape `(pairs, 6)`: row, column and color of a sub-pixel,
            then of an earlier one, or itself, that sees it. Or `(pairs, 4)`: rows and
            columns of pixels.

    Returns:
        A row of `pairs`; and which it is, a key of `REASONS`.
    """
    half = pairs.shape[1] // 2
    other_pixel = (pairs[:, :2] != pairs[:, half : half + 2]).any(axis=1)
    other = (pairs[:, :half] != pairs[:, half:]).any(axis=1)
    for kind, chosen in (("pixel", other_pixel), ("color", other)):
        if chosen.any():
            return pairs[chosen][0], kind
    return pairs[0], "itself"


REASONS = {
    "pixel": "which is drawn earlier: a layer is not masked, and sees pixels to the "
    "right or below",
    "color": "an earlier color of the same pixel: a layer does not know the model's "
    "`num_colors`",
    "itself": 'which is itself: the first layer that reads images needs mask "A"',
}

_REMEDIES = {
    "pixel": "Use layers that see earlier pixels alone, such as MaskedConv2D in place "
    "of Conv2D.",
    "color": "Give every masked layer the same `num_colors`, the number of colors of "
    'the images, and those that read the image mask_type="A".',
    "itself": "Let the image enter the graph only through layers with "
    'mask_type="A", such as MaskedConv2D(..., mask_type="A").',
}


def hint_of_coupling(unit, kind):
    """Return what else a pixel that sees itself may come from, or nothing.

    Args:
        unit: Row and column of a pixel, or row, column and color of a sub-pixel.
        kind: A key of `REASONS`.
    """
    if len(unit) == 3 or kind != "itself":
        return ""
    return (
        " The likelihood draws the colors of a pixel together, so masked layers need "
        "num_colors=1."
    )


@dataclasses.dataclass(frozen=True)
class Leak:
    """A part of an image that changes the parameters of itself or of an earlier part.

    Attributes:
        changed: Row, column and color from which on an image was changed; without the
            color where the likelihood couples the colors of a pixel.
        seen_by: Row, column and color whose parameters changed, alike.
        kind: `"pixel"` if that is another pixel, `"color"` if it is another color of
            the same pixel, else `"itself"`.
        layer: Kind and name of the first layer that lets the change through, such as
            "Conv2D 'conv2d'"; None where it cannot be told.
    """

    changed: tuple
    seen_by: tuple
    kind: str
    layer: str | None = None

    def __str__(self):
        where = f" It enters by {self.layer}." if self.layer else ""
        return (
            f"Changing images from {name_sub_pixel(self.changed)} on changes the "
            f"parameters of {name_sub_pixel(self.seen_by)}, {REASONS[self.kind]}."
            f"{where} {_REMEDIES[self.kind]}{hint_of_coupling(self.changed, self.kind)}"
        )


def sub_pixel_pairs(pairs, shape):
    """Return pairs of flat indices, `(pairs, 2)`, as rows of `worst_pair`."""
    return np.concatenate(
        [np.stack(np.unravel_index(i, shape), -1) for i in pairs.T], 1
    )
