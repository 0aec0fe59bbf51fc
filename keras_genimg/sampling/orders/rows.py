"""Row by row: a row is guessed, and evaluated until it no longer changes."""

import functools
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from keras_genimg.sampling.orders.order import Choice, Visited
from keras_genimg.sampling.orders.row_loop import Pack, visit_rows
from keras_genimg.sampling.values import PlanValues, Row

# An evaluation of a row takes about four times as long as that of a pixel. If no row
# settles, the budget halves after each failure (16, 8, 4, 2, 1), so an image wastes at
# most 31 evaluations of rows.
MOST_GUESSES = 16


class RowSampler(Protocol):
    """An order that can sample a row by itself, such as `Pixels`."""

    def sample_row(
        self, choice: Choice, row: Row, given: list[tf.Tensor], pack: Pack
    ) -> tf.Tensor:
        """Sample a row, see `Pixels.sample_row`."""
        ...


class _Guess(NamedTuple):
    """State of the loop over guesses of a row.

    Attributes:
        number: Number of guesses so far.
        has_changed: Whether the last guess changed any pixel.
        packed: What is kept of the pixels, `(width, batch, n)`, pixels first.
    """

    number: tf.Tensor
    has_changed: tf.Tensor
    packed: tf.Tensor


class _Budget(NamedTuple):
    """State that is passed from row to row.

    Attributes:
        above: The pixels of the row above, `(width, batch, colors)`.
        num_guesses: How often the next row may be guessed.
    """

    above: tf.Tensor
    num_guesses: tf.Tensor


class Rows:
    """Order that guesses rows, for single images of two-valued pixels.

    A row is guessed to be the one above. All its pixels are evaluated and sampled from
    the guess, which gives the next guess. The first pixel is right after one
    evaluation, the second after two at most, and so on. A row that equals its guess is
    therefore the row that is sampled pixel by pixel. With few values, two or three
    evaluations usually suffice.

    Batches of several images are sampled pixel by pixel, so that one graph samples
    batches of all sizes.

    Args:
        values: The `PlanValues`, of layers that all have a `CausalLayer.step_row`.
        pixels: The order that samples rows that do not settle, such as `Pixels`.
        every_second: Whether to guess every second row until it settles and no other,
            whatever the batch size; a boolean or a scalar tensor. A check then compares
            both ways.
    """

    largest_batch = 1

    def __init__(
        self,
        values: PlanValues,
        pixels: RowSampler,
        every_second: tf.Tensor | bool = False,
    ):
        self._values, self._pixels = values, pixels
        self._every_second = every_second
        self._in_loop = values.for_loop(values.width * values.batch)

    def visit(self, choice: Choice, num_rows: Any) -> Visited:
        """Visit all pixels, see `Order.visit`."""
        values = self._values
        sizes = values.width, values.batch, values.colors
        most = tf.where(values.batch == self.largest_batch, MOST_GUESSES, 0)
        first = tf.where(self._every_second, 0, most)
        budget = _Budget(tf.zeros(sizes, values.plan.dtype), first)
        sample_row = functools.partial(self._sample_row, choice, most)
        return visit_rows(values, choice, num_rows, sample_row, budget)

    def _sample_row(
        self,
        choice: Choice,
        most: tf.Tensor,
        row: Row,
        given: list[tf.Tensor],
        pack: Pack,
        budget: _Budget,
    ) -> tuple[tf.Tensor, _Budget]:
        width, colors = self._values.width, self._values.colors

        def guess(before: _Guess) -> list[_Guess]:
            pixels = before.packed[:, :, :colors]
            pixels.set_shape((None, None, colors))
            sampled = self._in_loop.in_body().sample_row(
                choice.choose, given, pixels, row.place
            )
            packed = pack(sampled)
            packed = tf.reshape(packed, (width, -1, packed.shape[-1]))
            has_changed = tf.reduce_any(packed[:, :, :colors] != pixels)
            return [_Guess(before.number + 1, has_changed, packed)]

        # The first guess has pixels only. The later ones have all that is kept of a
        # pixel, so they are wider.
        scalar, any_size = tf.TensorShape([]), tf.TensorShape([None, None, None])
        shapes: list[Any] = [scalar, scalar, any_size]
        (last,) = tf.while_loop(
            lambda last: last.has_changed & (last.number < budget.num_guesses),
            guess,
            [_Guess(tf.constant(0), tf.constant(True), budget.above)],
            shape_invariants=[_Guess(*shapes)],
        )
        packed = tf.cond(
            last.has_changed,
            lambda: self._pixels.sample_row(choice, row, given, pack),
            lambda: last.packed,
        )
        above = packed[:, :, :colors]
        above.set_shape(budget.above.shape)
        return packed, _Budget(above, self._next_budget(last, most, budget))

    def _next_budget(self, last: _Guess, most: tf.Tensor, budget: _Budget) -> tf.Tensor:
        """Return how often the next row may be guessed."""
        before = budget.num_guesses
        # Rows that do not settle are rarely alone.
        adapted = tf.where(last.has_changed, before // 2, tf.minimum(2 * before, most))
        # One guess more than there are pixels always suffices.
        alternated = self._values.width + 1 - before
        return tf.where(self._every_second, alternated, adapted)
