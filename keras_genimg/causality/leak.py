"""Leaks: pairs of sub-pixels of which the first must not change the second."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_genimg.types import Array, Shape


def name_sub_pixel(sub_pixel: Sequence[int]) -> str:
    """Return text like "(row 0, column 1, color 2)"; the color is optional."""
    parts = zip(("row", "column", "color"), sub_pixel, strict=False)
    return f"({', '.join(f'{part} {number}' for part, number in parts)})"


_REASONS = {
    "pixel": "which is generated earlier: a layer is not masked and sees pixels to the "
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
    "batch": "Use layers that treat each example alone, without noise, and no "
    "training=True.",
    "training": "Move or turn images before they enter the model, for example in "
    "`dataset.map`, and use layers that see only earlier pixels in training too.",
    "call": "Use layers without noise or state of their own outside of training.",
}


@dataclasses.dataclass(frozen=True)
class Leak:
    """A sub-pixel whose value changes its own parameters or those of an earlier one.

    A leak of kind `"batch"` means that parameters depend on more than one image, and
    one of kind `"call"` that they change from call to call.

    `str(leak)` describes the leak and how to fix it.

    Attributes:
        changed: Row, column and color of the first changed sub-pixel. The color is
            left out if the likelihood couples the colors of a pixel. For the kinds
            `"batch"` and `"call"`, it is the sub-pixel whose parameters changed.
        seen_by: Row, column and color of the sub-pixel whose parameters changed, with
            the same exception.
        kind: `"pixel"` if `seen_by` is another pixel than `changed`, `"color"` if it is
            another color of the same pixel, `"batch"` if the parameters of an image
            change with the other images of its batch, `"call"` if they change from
            call to call, else `"itself"`.
        layer: Type and name of the first layer that lets the change through, such as
            "Conv2D 'conv2d'". None if it cannot be found.
        in_training: Whether the leak is in the forward pass of training alone.
    """

    changed: tuple[int, ...]
    seen_by: tuple[int, ...]
    kind: str
    layer: str | None = None
    in_training: bool = False

    def __str__(self) -> str:
        where = f" It enters through {self.layer}." if self.layer else ""
        if self.kind == "call":
            effect = (
                f"The parameters of an image, such as those of "
                f"{name_sub_pixel(self.seen_by)}, change from call to call."
            )
        elif self.kind == "batch":
            effect = (
                f"The parameters of an image, such as those of "
                f"{name_sub_pixel(self.seen_by)}, depend on the other images of its "
                f"batch or change from call to call."
            )
        else:
            changed = name_sub_pixel(self.changed)
            start = "In training, changing" if self.in_training else "Changing"
            effect = f"{start} images from {changed} on {_effect_of(self)}"
        remedy = _REMEDIES["training" if self.in_training else self.kind]
        return f"{effect}{where} {remedy}"


def _effect_of(leak: Leak) -> str:
    """Return the end of a sentence about a changed sub-pixel: what changes, and why."""
    seen_by = name_sub_pixel(leak.seen_by)
    text = f"changes the parameters of {seen_by}, {_REASONS[leak.kind]}."
    if leak.kind == "itself" and len(leak.seen_by) == 2:
        text += (
            " The likelihood samples the colors of a pixel together, so masked "
            "layers need num_colors=1."
        )
    return text


def worst_leak(changed: Array, seen_by: Array, unit_shape: Shape) -> Leak:
    """Return the most informative of some leaks.

    Args:
        changed: Flat indices of sub-pixels, or of whole pixels, `(leaks,)`.
        seen_by: Those of the unit that sees each, an earlier one or itself.
        unit_shape: Shape of an image in these units.
    """
    changed, seen_by = np.stack(np.unravel_index([changed, seen_by], unit_shape), -1)
    differs = changed != seen_by
    kinds = np.where(differs[:, :2].any(axis=1), 2, differs.any(axis=1))
    worst = kinds.argmax()
    kind = ("itself", "color", "pixel")[kinds[worst]]
    return Leak(tuple(changed[worst].tolist()), tuple(seen_by[worst].tolist()), kind)
