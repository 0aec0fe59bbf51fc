"""Pixel by pixel: row by row, and from left to right."""

import functools
from typing import Any, NamedTuple

import tensorflow as tf

from keras_genimg.sampling.orders.order import Choice, Visited
from keras_genimg.sampling.orders.row_loop import Pack, visit_rows
from keras_genimg.sampling.packing import Stacks
from keras_genimg.sampling.values import Place, PlanValues, Row, with_shapes_of
from keras_genimg.types import Tensors


class _State(NamedTuple):
    """State of the loop over the pixels of a row.

    Attributes:
        column: Index of the next pixel.
        carries: The carry of each stepped layer.
        packed: TensorArray of what is kept of each pixel, `(batch, n)`.
    """

    column: tf.Tensor
    carries: tuple[Tensors, ...]
    packed: tf.TensorArray


class Pixels:
    """Order that evaluates one pixel of each image at a time, for any plan.

    Args:
        values: The `PlanValues`.
        in_pairs: Whether an iteration of the loop may sample two pixels. An iteration
            costs time besides that of its operations. Two pixels take longer to trace,
            which does not pay off for rows that are rarely sampled.
    """

    def __init__(self, values: PlanValues, in_pairs: bool = True):
        self._values = values
        self._in_loop = values.for_loop(values.batch)
        is_even = isinstance(values.width, int) and values.width % 2 == 0
        self._in_pairs = in_pairs and values.fused and is_even

    def visit(self, choice: Choice, num_rows: Any) -> Visited:
        """Visit all pixels, see `Order.visit`."""
        sample_row = functools.partial(self._sample_row, choice)
        return visit_rows(self._values, choice, num_rows, sample_row)

    def _sample_row(
        self,
        choice: Choice,
        row: Row,
        given: list[tf.Tensor],
        pack: Pack,
        of_order: Any,
    ) -> tuple[tf.Tensor, Any]:
        return self.sample_row(choice, row, given, pack), of_order

    def sample_row(
        self, choice: Choice, row: Row, given: list[tf.Tensor], pack: Pack
    ) -> tf.Tensor:
        """Sample a row; return what `pack` keeps of its pixels, `(width, batch, n)`.

        Args:
            choice: The `Choice`.
            row: The `Row`.
            given: See `visit_rows`.
            pack: See `visit_rows`.
        """
        width, first = self._values.width, row.place
        of_pixels = Stacks([given, first.known, first.of_layers], axis=1)

        def visit_pixel(state: _State) -> _State:
            here, known, of_layers = of_pixels.parts_at(state.column)
            sampled = self._in_loop.in_body().sample_pixel(
                choice.choose, here, Place(known, state.carries, of_layers)
            )
            packed = state.packed.write(state.column, pack(sampled))
            carries = with_shapes_of(sampled.carries, state.carries)
            return _State(state.column + 1, carries, packed)

        def visit_pixels(state: _State) -> list[_State]:
            state = visit_pixel(state)
            return [visit_pixel(state) if self._in_pairs else state]

        packed = tf.TensorArray(
            self._values.plan.dtype, width, element_shape=(None, None)
        )
        (state,) = tf.while_loop(
            lambda state: state.column < width,
            visit_pixels,
            [_State(tf.constant(0), first.carries, packed)],
            maximum_iterations=width,
        )
        return state.packed.stack()
