"""The interface of all orders: they take a `Choice` and return what they `Visited`."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from keras_genimg.sampling.values import Sampled


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """How the value of a pixel is chosen, and what is kept of the pixel besides.

    Attributes:
        given: Tensors `(height, width, batch, n)`, passed to `choose` pixel by pixel.
        choose: Function of `(params, here, *given)`: the parameters of one color,
            `(batch, 1, ...)`; the slice of this color; and the given tensors at this
            pixel, `(batch, n)`. It returns the sub-pixel, `(batch, 1)`. With coupled
            colors, it gets the parameters of the pixel, `(batch, ...)`, and the slice
            of all colors, and returns the whole pixel.
        observe: Function of `(params, values)`, or None to keep the pixels alone: the
            list of the parameters of all colors, or with coupled colors of the pixel;
            and the dict of all values of the pixel by `Value`. It returns what is
            observed, float32 `(batch, n)`.
        num_observed: Number of examples to observe, the first ones; None for all.
    """

    given: list[tf.Tensor]
    choose: Callable[..., tf.Tensor]
    observe: Callable[..., tf.Tensor] | None = None
    num_observed: int | None = None

    def results(self, sampled: Sampled) -> list[tf.Tensor]:
        """Return a list of what is kept of a pixel: itself, and what is observed."""
        if self.observe is None:
            return [sampled.pixel]
        observed = self.observe(sampled.params, sampled.evaluated.values)
        return [sampled.pixel, observed]


class Visited(NamedTuple):
    """The result of an order.

    Attributes:
        pixels: `(height, width, batch, colors)`.
        observed: `(height, width, num_observed, n)`; None if nothing is observed.
    """

    pixels: tf.Tensor
    observed: tf.Tensor | None = None


class Order(Protocol):
    """A way to visit the pixels of an image, each after those that it depends on."""

    def visit(self, choice: Choice, num_rows: Any) -> Visited:
        """Visit all pixels of the first rows of a batch of images.

        Args:
            choice: How each pixel is chosen.
            num_rows: Number of rows to visit. The results of later rows are zero. It
                may exceed the height.
        """
        ...
