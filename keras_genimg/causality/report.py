"""Check that a model is causal, and report how much of the past it sees."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_genimg.causality.leak import (
    REASONS,
    hint_of_coupling,
    name_sub_pixel,
    worst_pair,
)
from keras_genimg.causality.pixel_influence import influence


@dataclasses.dataclass(frozen=True, eq=False)
class CausalityReport:
    """Influences of earlier on later sub-pixels in a causal model.

    Attributes:
        num_past: Number of possible influences, which is the number of pairs of an
            earlier and a later sub-pixel; of pixels, where the likelihood couples the
            colors of a pixel.
        num_seen: Number of these influences that the model has.
        missing: Influences that the model lacks, integers of shape `(pairs, 6)`: row,
            column and color of the earlier sub-pixel, then of the later one; or of
            pixels, `(pairs, 4)`.
    """

    num_past: int
    num_seen: int
    missing: np.ndarray

    @property
    def complete(self) -> bool:
        """Whether every sub-pixel sees all of its past."""
        return len(self.missing) == 0

    def __str__(self) -> str:
        half = self.missing.shape[1] // 2
        unit = "sub-pixel" if half == 3 else "pixel"
        text = (
            f"Causal: no {unit} sees itself or a later one. "
            f"{self.num_seen} of {self.num_past} possible influences are present"
        )
        if self.complete:
            return f"{text}: complete."
        return (
            f"{text}, {len(self.missing)} are missing: for example, {unit} "
            f"{name_sub_pixel(self.missing[0, :half])} does not change the parameters "
            f"of {name_sub_pixel(self.missing[0, half:])}."
        )


def assert_causal(
    model: keras.Model, complete: bool = False, **options: Any
) -> CausalityReport:
    """Check that no sub-pixel of a model sees itself or a later one.

    Sub-pixels are ordered as they are drawn: row by row, and within a pixel color by
    color, or all colors together where the likelihood couples them.

    Args:
        model: An `AutoregressiveModel`.
        complete: Whether every sub-pixel must also see its whole past.
        **options: Keyword arguments of `influence`: `images` to change (random by
            default), `seed` and `num_images` of random images, `image_size` as
            `(height, width)` for a model of any size, `conditions` with one element per
            image, `randomize`, and the `batch_size` of the evaluation. With
            `randomize=True`, the check is of the graph, under random weights.
            Otherwise it is of the model with its weights, where zero biases and dead
            ReLUs can hide influences.

    Returns:
        A `CausalityReport` of the influences on later sub-pixels.

    Raises:
        AssertionError: If the model is not causal or, with `complete`, not complete.
        ValueError: If an option is invalid, or the model returns numbers that are not
            finite.

    Example:
        >>> images = keras.Input((5, 5, 1))
        >>> x = MaskedConv2D(8, 3, mask_type="A", activation="relu")(images)
        >>> logits = MaskedConv2D(1, 1, mask_type="B")(x)
        >>> model = AutoregressiveModel(images, logits, "bernoulli")
        >>> print(assert_causal(model, randomize=True))
        Causal: no sub-pixel sees itself or a later one. 72 of 300 possible
        influences are present, 228 are missing: ...
    """
    seen = influence(model, **options)
    size = int(np.prod(seen.shape[: seen.ndim // 2]))
    past = np.triu(np.ones((size, size), bool), 1).reshape(seen.shape)
    leaks = np.argwhere(seen & ~past)
    if len(leaks):
        raise AssertionError(f"{model.name} is not causal. {_describe(leaks)}")
    missing = np.argwhere(past & ~seen)
    report = CausalityReport(int(past.sum()), int(past.sum()) - len(missing), missing)
    if complete and not report.complete:
        raise AssertionError(f"{model.name} is not complete. {report}")
    return report


def _describe(leaks):
    """Describe the worst of some leaking pairs of sub-pixels or pixels."""
    pair, kind = worst_pair(leaks)
    half = len(pair) // 2
    unit = "sub-pixel" if half == 3 else "pixel"
    return (
        f"Changing {unit} {name_sub_pixel(pair[:half])} changes the parameters of "
        f"{name_sub_pixel(pair[half:])}, {REASONS[kind]}."
        f"{hint_of_coupling(pair[:half], kind)} Number of such pairs: {len(leaks)}."
    )
