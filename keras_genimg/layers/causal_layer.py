"""Protocol for layers that are sampled one pixel at a time."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from keras import ops

from keras_genimg.types import Tensors


class CausalLayer:
    """Protocol for layers that the incremental sampler evaluates pixel by pixel.

    If each output pixel of a layer depends only on pixels before it in raster order,
    the layer can be evaluated one pixel at a time, with caches of earlier results. Such
    a layer derives from this class and from `keras.layers.Layer`. Besides `call`, which
    computes a whole map, it implements the methods below. Together, they must compute
    the same as `call`; `generate` and `export` compare the two.

    A subclass that overrides `call`, or a method that `call` uses, must also override
    the methods for the sampler. Otherwise, the model is refused.

    The sampler calls `prepare`, then `initial_cache` for the state before the first
    row, and for each row `begin_row`, `step` for each pixel, and `end_row`. All of them
    build a graph, for any number of pixels. Each may be traced several times, such as
    once for each order of pixels, so none may have side effects. Tensors are in the
    layer's compute dtype. A pixel has the shape `(batch, channels)`, a row
    `(width, batch, channels)`. The shapes of a cache must not change.

    The sampler steps the layer that reads the image before the pixel is sampled, with
    zeros for the colors not yet sampled, and again after all colors are sampled. If its
    attribute `mask_type` is `"A"`, its output hides the pixel, or at least its last
    color. Otherwise, what follows the layer is evaluated again too.

    A layer whose output depends only on finished rows sets `sees_current_row = False`.
    Its `begin_row` returns the outputs of the whole row as the only tensor of the row,
    it has no `step`, and `end_row` receives the row of its inputs. Operations that
    depend only on such outputs are computed once per row.

    A layer that also sees the pixels to the right in its own row sets
    `sees_whole_row = True`. It is accepted only where its input depends on finished
    rows alone, such as in a vertical stack. Its `begin_row` has a third argument
    `inputs`, the row of its input, and returns the outputs of the row.

    A layer that sees only some columns of the rows above sets `reach`. Several rows are
    then sampled at a time in small batches. The layer gets the columns of its cache one
    by one: `begin_pixel` takes those around a pixel, and `end_row` also takes tensors
    of one column, `(batch, n)`. Columns beyond the ends of a row are zero. Tensors of
    the cache that have no columns, `(batch, n)`, must not change. A subclass that
    overrides a method for the cache or for rows must state its `reach` again.

    Attributes:
        sees_current_row: Whether an output depends on pixels of the same row.
        sees_whole_row: Whether an output depends on pixels to its right.
        reach: Number of columns to the left and to the right of a pixel whose caches
            its output depends on, or None if these are all columns.

    Example:
        A layer that sums all pixels to the left of each pixel:

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
    sees_whole_row = False
    reach: int | None = None

    def prepare(self, fused: bool) -> Any:
        """Return the weights as `step` needs them: masked, sliced, concatenated.

        Args:
            fused: Whether TensorFlow's fused kernels may be used, which XLA lacks.

        Returns:
            Any structure, passed to the other methods as `weights`.
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
        """Compute everything in a row that depends only on finished rows.

        Returns:
            The carry before the first pixel, a tuple of `(batch, n)` tensors, and the
            inputs of the row's steps, a tuple of `(width, batch, n)` tensors.
        """
        return (), ()

    def begin_pixel(self, weights: Any, cache: Tensors) -> tuple[Tensors, Tensors]:
        """Compute everything in a pixel that depends only on the rows above.

        Called if the layer has a `reach`. By default, this calls `begin_row` on these
        columns alone.

        Args:
            weights: What `prepare` returned.
            cache: The cache. Each tensor with columns is replaced by a tuple of `2 *
                reach + 1` of them, those around the pixel, `(batch, n)`.

        Returns:
            The carry before the first pixel of a row, and the tensors of `begin_row` at
            this pixel, `(batch, n)` each.
        """
        stacked = [tf.stack(x) if isinstance(x, tuple) else x for x in cache]
        carry, row = self.begin_row(weights, tuple(stacked))
        return carry, tuple(tensor[self.reach] for tensor in row)

    def step(
        self, weights: Any, carry: Tensors, row: Tensors, inputs: tf.Tensor
    ) -> tuple[tf.Tensor | Tensors, Tensors, Tensors]:
        """Evaluate one pixel.

        Args:
            weights: What `prepare` returned.
            carry: From the pixel to the left, or from `begin_row`.
            row: The tensors of `begin_row` at this pixel, each `(batch, n)`.
            inputs: Input at this pixel, `(batch, channels)`. Further arguments of
                `call` are passed by name, maps as `(batch, channels)` tensors.

        Returns:
            The output, `(batch, filters)`, or a tuple of outputs; the carry for the
            pixel to the right; and the tensors of this pixel that `end_row` needs, a
            tuple of `(batch, n)` tensors.
        """
        raise NotImplementedError

    def step_row(
        self, weights: Any, carry: Tensors, row: Tensors, inputs: tf.Tensor
    ) -> tuple[tf.Tensor | Tensors, Tensors]:
        """Evaluate all pixels of a row at once, given their inputs.

        Optional. If all layers of a model have this method, a single image of black and
        white pixels is sampled row by row: a row is guessed and evaluated until it no
        longer changes.

        Args:
            weights: What `prepare` returned.
            carry: What `begin_row` returned for the first pixel.
            row: The tensors of `begin_row`, each `(width, batch, n)`.
            inputs: Inputs of the row, `(width, batch, channels)`. Further arguments of
                `call` are passed by name, maps as `(width, batch, channels)` tensors.

        Returns:
            The output or outputs, and the tensors that `step` returns for `end_row`,
            each `(width, batch, n)`.
        """
        raise NotImplementedError

    def end_row(self, weights: Any, cache: Tensors, kept: Tensors) -> Tensors:
        """Return the cache for the next row.

        Args:
            weights: What `prepare` returned.
            cache: The cache of this row.
            kept: Tensors returned by the steps for `end_row`, each `(width, batch, n)`.
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
            weights: List of the results of `prepare`, one per layer.
            caches: List of their caches.
            kept: List of the tensors returned by their steps for `end_row`.

        Returns:
            List of their caches for the next row.
        """
        return [
            layer.end_row(*arguments)
            for layer, *arguments in zip(layers, weights, caches, kept, strict=True)
        ]


def is_stepped(layer: CausalLayer) -> bool:
    """Return whether a layer is stepped along a row, even if its inputs are known."""
    return layer.sees_current_row and not layer.sees_whole_row


def reach_of(layer: CausalLayer) -> int | None:
    """Return the `reach` of a layer, or None if a subclass changed its rows since."""
    if "reach" in vars(layer):
        return layer.reach
    of_rows = {"initial_cache", "begin_row", "begin_pixel", "end_row", "end_rows"}
    kinds = type(layer).__mro__
    last = next(kind for kind in kinds if {"reach", *of_rows} & vars(kind).keys())
    return layer.reach if "reach" in vars(last) else None


def has_step_row(layer: CausalLayer) -> bool:
    """Return whether a layer evaluates rows at once, as its `step` does its pixels."""
    kinds = type(layer).__mro__
    last = next(kind for kind in kinds if {"step", "step_row"} & vars(kind).keys())
    # A subclass may change the `step` alone.
    return "step_row" in vars(last) and last is not CausalLayer


def step_of_window(
    layer: Any, weights: Any, carry: Tensors, row: Tensors, inputs: tf.Tensor, **others
):
    """Evaluate a row with the `step` of a layer whose carry is a window of inputs.

    Args:
        layer: A `CausalLayer`. The window holds its last inputs, `(batch, columns *
            channels)`, and is 0 before the first pixel.
        weights: What `prepare` returned.
        carry: The window before the first pixel.
        row: The tensors of `begin_row`, each `(width, batch, n)`.
        inputs: `(width, batch, channels)`.
        **others: Further arguments of `step`, maps as `(width, batch, channels)`.

    Returns:
        The results of `CausalLayer.step_row`.
    """
    (window,) = carry
    width, batch, channels = ops.shape(inputs)
    columns = window.shape[-1] // channels
    padded = tf.pad(inputs, [[columns, 0], [0, 0], [0, 0]])
    if columns == 1:
        window = padded[:-1]
    else:
        index = tf.range(width)[:, None] + tf.range(columns)
        window = tf.transpose(tf.gather(padded, index), (0, 2, 1, 3))
    window = tf.reshape(window, (width * batch, columns * channels))

    def flat(tensor):
        return tf.reshape(tensor, (-1, tensor.shape[-1]))

    row, inputs, others = tf.nest.map_structure(flat, (row, inputs, others))
    outputs, _, kept = layer.step(weights, (window,), row, inputs, **others)

    def wide(tensor):
        return tf.reshape(tensor, (width, -1, tensor.shape[-1]))

    return tf.nest.map_structure(wide, (outputs, tuple(kept)))
