"""Protocol for layers that are sampled one pixel at a time."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_genimg.types import Tensors


class CausalLayer:
    """Protocol for layers that the incremental sampler evaluates pixel by pixel.

    A layer that sees, for each pixel, only pixels before it in raster order can be
    evaluated one pixel at a time, with caches of what was computed before. Besides
    `call`, which computes a whole map, it then implements the methods below. Together
    they must give what `call` gives; `generate` and `export` compare the two. Derive
    from this class and from `keras.layers.Layer`.

    A subclass that replaces `call`, or a method that `call` uses, must replace the
    methods for the sampler too, else the sampler refuses it.

    The sampler calls `prepare` and `initial_cache` once; then for each row
    `begin_row`; for each pixel of the row `step`; and `end_row`. All of them build a
    graph: `step` is traced once, however many pixels there are. Tensors are in the
    layer's compute dtype; those of a pixel have the shape `(batch, channels)`, those of
    a row `(width, batch, channels)`, and a cache keeps its shapes.

    The layer that reads the image is stepped before its pixel is drawn, with zeros for
    the colors not yet drawn, and again when all are; so `step` must not let an output
    depend on what its mask hides.

    A layer whose output sees finished rows alone sets `sees_current_row = False`. Its
    `begin_row` returns the outputs of the whole row as the one tensor of the row, and
    it has no `step`; `end_row` gets the row of its inputs. What follows from such
    outputs alone is computed once a row.

    Attributes:
        sees_current_row: Whether an output depends on pixels of its own row.

    Example:
        A layer that gives each pixel the sum of those left of it:

        >>> class LeftSum(CausalLayer, keras.layers.Layer):
        ...     def call(self, inputs):
        ...         return keras.ops.cumsum(inputs, axis=2) - inputs
        ...     def begin_row(self, weights, cache):
        ...         (template,) = cache
        ...         return (template,), ()
        ...     def initial_cache(self, weights, batch, width, channels):
        ...         return (tf.zeros((batch, channels)),)
        ...     def step(self, weights, carry, row, inputs):
        ...         (total,) = carry
        ...         return total, (total + inputs,), ()
    """

    sees_current_row = True

    def prepare(self, fused: bool) -> Any:
        """Return the weights as the steps need them: masked, sliced, concatenated.

        Args:
            fused: Whether TensorFlow's fused kernels may be used, which XLA lacks.

        Returns:
            Anything, handed to the other methods as `weights`.
        """
        return ()

    def initial_cache(
        self,
        weights: Any,
        batch: int | tf.Tensor,
        width: int | tf.Tensor,
        channels: int,
    ) -> Tensors:
        """Return the cache before the first row, a tuple of tensors.

        Args:
            weights: What `prepare` returned.
            batch: Number of images, a scalar tensor.
            width: Width of the images, an integer or a scalar tensor.
            channels: Channels of the input.
        """
        return ()

    def begin_row(self, weights: Any, cache: Tensors) -> tuple[Tensors, Tensors]:
        """Return what a row starts with: all that depends on finished rows alone.

        Returns:
            The carry before the first pixel, a tuple of `(batch, n)` tensors; and what
            each pixel of the row will need, a tuple of `(width, batch, n)` tensors.
        """
        return (), ()

    def step(
        self, weights: Any, carry: Tensors, row: Tensors, inputs: tf.Tensor
    ) -> tuple[tf.Tensor | Tensors, Tensors, Tensors]:
        """Evaluate one pixel.

        Args:
            weights: What `prepare` returned.
            carry: From the pixel to the left, or from `begin_row`.
            row: The tensors of `begin_row` at this pixel, each `(batch, n)`.
            inputs: Input at this pixel, `(batch, channels)`. Further arguments of
                `call` come by name, maps as `(batch, channels)` tensors.

        Returns:
            The output, `(batch, filters)`, or a tuple of outputs; the carry for the
            pixel to the right; and what `end_row` will need of this pixel, a
            tuple of `(batch, n)` tensors.
        """
        raise NotImplementedError

    def end_row(self, weights: Any, cache: Tensors, kept: Tensors) -> Tensors:
        """Return the cache for the next row.

        Args:
            weights: What `prepare` returned.
            cache: The cache of this row.
            kept: What the steps kept, each `(width, batch, n)`.
        """
        return cache

    @classmethod
    def end_rows(
        cls,
        layers: Sequence["CausalLayer"],
        weights: list[Any],
        caches: list[Tensors],
        kept: list[Tensors],
    ) -> list[Tensors]:
        """Call `end_row` of all layers of this class in a graph.

        A hook for layers whose work at the end of a row can be shared.

        Args:
            layers: The layers, in the order of the graph.
            weights: List of what `prepare` returned for each.
            caches: List of their caches.
            kept: List of what their steps kept.

        Returns:
            List of their caches for the next row.
        """
        return [
            layer.end_row(*arguments)
            for layer, *arguments in zip(layers, weights, caches, kept, strict=True)
        ]
