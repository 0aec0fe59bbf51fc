"""Leaks: pairs of sub-pixels of which the first must not change the second."""

import dataclasses

import numpy as np


def name_sub_pixel(sub_pixel):
    """Return text like "(row 0, column 1, color 2)"; the color is optional."""
    parts = zip(("row", "column", "color"), sub_pixel, strict=False)
    return f"({', '.join(f'{part} {number}' for part, number in parts)})"


def worst_pair(pairs):
    """Return the most informative pair of leaking sub-pixels, and its kind.

    Args:
        pairs: Integers of shape `(pairs, 6)`: row, column and color of a sub-pixel,
            then those of the sub-pixel that sees it (an earlier one or itself). For
            whole pixels, shape `(pairs, 4)` without the colors.

    Returns:
        A row of `pairs`, and a key of `REASONS`.
    """
    half = pairs.shape[1] // 2
    other_pixel = (pairs[:, :2] != pairs[:, half : half + 2]).any(axis=1)
    other = (pairs[:, :half] != pairs[:, half:]).any(axis=1)
    for kind, chosen in (("pixel", other_pixel), ("color", other)):
        if chosen.any():
            return pairs[chosen][0], kind
    return pairs[0], "itself"


REASONS = {
    "pixel": "which is drawn earlier: a layer is not masked and sees pixels to the "
    "right or below",
    "color": "an earlier color of the same pixel: a layer was not given the model's "
    "`num_colors`",
    "itself": 'the same position: the first layer that reads images needs mask "A"',
}

_REMEDIES = {
    "pixel": "Use layers that see only earlier pixels, such as MaskedConv2D in place "
    "of Conv2D.",
    "color": "Set `num_colors` of every masked layer to the number of colors of the "
    'images, and use mask_type="A" in the layers that read the image.',
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
    """A sub-pixel whose value changes its own parameters or those of an earlier one.

    Or, of kind `"batch"`, parameters that depend on more than one image.

    `str(leak)` describes the leak and how to fix it.

    Attributes:
        changed: Row, column and color of the first changed sub-pixel. The color is
            left out if the likelihood couples the colors of a pixel. Of kind `"batch"`,
            the sub-pixel whose parameters changed.
        seen_by: Row, column and color of the sub-pixel whose parameters changed, with
            the same exception.
        kind: `"pixel"` if `seen_by` is another pixel than `changed`, `"color"` if it is
            another color of the same pixel, `"batch"` if the parameters of an image
            change with the other images of its batch or from call to call, else
            `"itself"`.
        layer: Type and name of the first layer that lets the change through, such as
            "Conv2D 'conv2d'". None if it cannot be found.
    """

    changed: tuple[int, ...]
    seen_by: tuple[int, ...]
    kind: str
    layer: str | None = None

    def __str__(self) -> str:
        where = f" It enters through {self.layer}." if self.layer else ""
        if self.kind == "batch":
            return (
                f"The parameters of an image, such as those of "
                f"{name_sub_pixel(self.seen_by)}, depend on the other images of its "
                f"batch or change from call to call.{where} Use layers that treat each "
                f"example alone, without noise, and no training=True."
            )
        return (
            f"Changing images from {name_sub_pixel(self.changed)} on changes the "
            f"parameters of {name_sub_pixel(self.seen_by)}, {REASONS[self.kind]}."
            f"{where} {_REMEDIES[self.kind]}{hint_of_coupling(self.changed, self.kind)}"
        )


def sub_pixel_pairs(pairs, shape):
    """Convert pairs of flat indices, `(pairs, 2)`, to rows for `worst_pair`."""
    return np.concatenate(
        [np.stack(np.unravel_index(i, shape), -1) for i in pairs.T], 1
    )
