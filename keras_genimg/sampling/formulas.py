"""Weights of a plan, before there are tensors."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import tensorflow as tf

_NUMBERS = itertools.count()


@dataclasses.dataclass(frozen=True, eq=False)
class Formula:
    """A tensor that is computed later: a function of other formulas.

    A plan is made once and has no tensors. Its rewrites combine formulas instead, such
    as `Formula(tf.matmul, (one, other))`, and `PlanValues` computes them in each call.

    Attributes:
        function: Function of as many tensors as there are inputs.
        inputs: The formulas of these tensors.
        number: Formulas are numbered in the order in which they are made.
    """

    function: Callable[..., Any]
    inputs: tuple["Formula", ...] = ()
    number: int = dataclasses.field(
        default_factory=lambda: next(_NUMBERS), init=False, repr=False
    )

    def collect(self, found: set["Formula"]) -> None:
        """Add this formula and all that it reads to a set."""
        if self not in found:
            found.add(self)
            for each in self.inputs:
                each.collect(found)


class AffineWeights(NamedTuple):
    """Weights of `inputs @ kernel + bias`.

    The bias is negated, see `keras_genimg.ops.convolution.affine`.

    Attributes:
        kernel: `(inputs, outputs)`, or None for a function that only has a bias.
        negative_bias: `(outputs,)`, or None for no bias.
    """

    kernel: Formula | None
    negative_bias: Formula | None


def tensors_of(all_weights: Iterable[AffineWeights]) -> list[tuple[Any, ...]]:
    """Return `(kernel, negative_bias)` of each, tensors or None.

    Each formula is computed once, even if several read it. The order is that in which
    the formulas were made. It decides how sums are rounded, since TensorFlow's graph
    optimizer regroups them by the order of operations.
    """
    all_weights, found = list(all_weights), set()
    for weights in all_weights:
        for formula in weights:
            if formula is not None:
                formula.collect(found)
    tensors: dict[Formula | None, tf.Tensor | None] = {None: None}
    for formula in sorted(found, key=lambda each: each.number):
        inputs = [tensors[each] for each in formula.inputs]
        tensors[formula] = formula.function(*inputs)
    return [tuple(tensors[each] for each in weights) for weights in all_weights]
