"""Several rows of an image at once, each some columns behind the one above."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_genimg.layers.causal_layer import CausalLayer, is_stepped, reach_of
from keras_genimg.sampling.orders.order import Choice, Visited
from keras_genimg.sampling.packing import Packer
from keras_genimg.sampling.values import LoopValues, Place, PlanValues
from keras_genimg.types import AxisSize, Tensors

# For larger batches, the products of a step take longer than starting its operations,
# so fewer steps no longer save time.
LARGEST_BATCH = 24


def wave_reach(
    layers: Sequence[CausalLayer], height: AxisSize, width: AxisSize
) -> int | None:
    """Return the largest `reach` of causal layers, or None if waves are not faster.

    Args:
        layers: All causal layers of a model.
        height: Height of its images; None or a tensor if unknown.
        width: Their width.
    """
    if not (isinstance(height, int) and isinstance(width, int)):
        return None
    reaches = [reach_of(layer) if is_stepped(layer) else None for layer in layers]
    known = [reach for reach in reaches if reach is not None]
    if not known or len(known) < len(reaches):
        return None
    reach = max(known)
    return reach if pay(height, width, reach) else None


def pay(height: int, width: int, reach: int) -> bool:
    """Return whether waves take at most half as many steps as there are pixels."""
    return 2 * _num_steps(height, width, reach) <= height * width


def _num_steps(height: Any, width: Any, reach: int) -> Any:
    return width + (reach + 1) * (height - 1)


class _Schedule:
    """Rows and columns of the slots at each step, as NumPy arrays.

    A step samples one pixel of each row that is being sampled. Row `r` is in slot
    `r % num_slots`. Two rows of a slot are at least `reach` idle steps apart, which
    stand for the zeros beyond the ends of a row.

    Args:
        height: Height of the images.
        width: Their width.
        reach: See `Waves`.

    Attributes:
        height: Height of the images.
        width: Their width.
        reach: See `Waves`.
        lag: Number of columns that a row is behind the one above.
        num_slots: Number of rows that are sampled at a time.
        num_steps: Number of steps that an image takes.
        history: Number of steps before the first. They pass columns of the row of
            initial states above the image.
        is_above: Whether a slot has a column of that row, `(history + num_steps,
            num_slots)`.
        is_sampled: Whether a slot has a pixel, `(num_steps, num_slots)`.
        is_first: Whether a slot has the first column of a row.
        pixels: Flat index of the pixel of each slot; 0 for none.
    """

    def __init__(self, height: int, width: int, reach: int):
        self.height, self.width, self.reach = height, width, reach
        self.lag = reach + 1
        self.num_slots = -(-(width + reach) // self.lag)
        self.num_steps = _num_steps(height, width, reach)
        self.history = 2 * reach + 1
        steps = np.arange(-self.history, self.num_steps)[:, None]
        since = steps - self.lag * np.arange(self.num_slots)
        turns, columns = np.divmod(since, self.lag * self.num_slots)
        rows = np.arange(self.num_slots) + self.num_slots * turns
        inside = columns < width
        self.is_above = inside & (rows == -1)
        rows, columns, inside = (x[self.history :] for x in (rows, columns, inside))
        self.is_sampled = inside & (0 <= rows) & (rows < height)
        self.is_first = columns == 0
        self.pixels = np.where(self.is_sampled, rows * width + columns, 0)

    def by_step(self, tensor: tf.Tensor, batch: Any) -> tf.Tensor:
        """Return `(height, width, batch, n)` as `(num_steps, num_slots * batch, n)`."""
        size = tensor.shape[-1]
        tensor = tf.gather(tf.reshape(tensor, (-1, batch, size)), self.pixels)
        return tf.reshape(tensor, (self.num_steps, -1, size))

    def by_pixel(
        self, tensor: tf.Tensor, batch: Any, size: int, num_rows: Any
    ) -> tf.Tensor:
        """Return results by step, `(steps, num_slots * batch, size)`, as an image.

        Rows after the first `num_rows` are zero.
        """
        row, column = np.indices((self.height, self.width), "int32")
        index = self.num_slots * (column + self.lag * row) + row % self.num_slots
        tensor = tf.reshape(tensor, (-1, batch, size))
        tensor = tf.gather(tensor, tf.minimum(index, tf.shape(tensor)[0] - 1))
        # Idle slots may have left values that are not numbers in the rest of the image.
        is_visited = tf.constant(row)[:, :, None, None] < num_rows
        return tf.where(is_visited, tensor, 0)


class _State(NamedTuple):
    """State of the loop over steps.

    Attributes:
        step: Index of the next step.
        lines: The latest columns of all caches, see `_Columns`.
        carries: The packed carries of all slots.
        results: TensorArray of what is kept of each step, packed.
    """

    step: tf.Tensor
    lines: list[list[tf.Tensor]]
    carries: tf.Tensor
    results: tf.TensorArray


class Waves:
    """Order in which each row is `reach + 1` columns behind the one above.

    Args:
        values: `PlanValues` of a plan whose causal layers all have a `reach`.
        reach: The largest of them.
    """

    largest_batch = LARGEST_BATCH

    def __init__(self, values: PlanValues, reach: int):
        self._values = values
        self._schedule = _Schedule(values.height, values.width, reach)
        # Each slot is computed as an image of one column, and all slots as a batch of
        # these. Layers then need no code for waves.
        num_lanes = self._schedule.num_slots * values.batch
        self._lanes = dataclasses.replace(values, batch=num_lanes, width=1)
        self._in_loop = self._lanes.for_loop(num_lanes)

    def visit(self, choice: Choice, num_rows: Any) -> Visited:
        """Visit all pixels, see `Order.visit`."""
        values, schedule = self._values, self._schedule
        visit = _Visit(values, self._lanes, self._in_loop, schedule, choice)
        # A check of several scales may ask for the rows of a larger one.
        num_rows = tf.minimum(num_rows, values.height)
        num_steps = _num_steps(num_rows, values.width, schedule.reach)
        (state,) = tf.while_loop(
            lambda state: state.step < num_steps,
            lambda state: [visit.step(state)],
            [visit.first_state(num_steps)],
            maximum_iterations=num_steps,
            parallel_iterations=2,  # TensorFlow's default, 10, is slower.
        )
        results, found = state.results.stack(), visit.found
        results = schedule.by_pixel(results, values.batch, found.size, num_rows)
        ((pixels, *observed),) = found.unpack(results)
        return Visited(pixels, *(x[:, :, : choice.num_observed] for x in observed))


class _Visit:
    """One visit of all pixels in waves.

    Args:
        values: The `PlanValues` of the images.
        lanes: The same for the slots of all images, as a batch of images of one column.
        in_loop: `LoopValues` of the lanes.
        schedule: The `_Schedule`.
        choice: The `Choice`.

    Attributes:
        found: The `Packer` of what is kept of each pixel.
    """

    def __init__(
        self,
        values: PlanValues,
        lanes: PlanValues,
        in_loop: LoopValues,
        schedule: _Schedule,
        choice: Choice,
    ):
        self._values, self._in_loop = values, in_loop
        self._schedule, self._choice = schedule, choice
        self._columns = _Columns(values, lanes.initial_caches())
        masks = schedule.is_sampled, schedule.is_first, schedule.is_above
        self._is_sampled, self._is_first, self._is_above = (
            tf.repeat(tf.constant(mask), values.batch, axis=1) for mask in masks
        )
        self._nothing = tf.zeros_like(self._columns.initial)
        self._table, self._carried, self.found = (
            Packer(values.plan.dtype) for _ in range(3)
        )
        known = [values.maps[value] for value in values.plan.known]
        self._by_step = self._table.pack(
            [
                [schedule.by_step(tensor, values.batch) for tensor in group]
                for group in (choice.given, known)
            ]
        )

    def first_state(self, num_steps: Any) -> _State:
        """Return the state before the first of a number of steps."""
        lines = self._columns.empty_lines(self._schedule.lag)
        # The history has as many steps as the longest line, so it fills all lines.
        for mask in tf.unstack(self._is_above[: self._schedule.history]):
            lines = self._columns.push(self._where_above(mask), lines)
        carries, _ = self._begin(self._columns.around(lines), self._values)
        results = tf.TensorArray(
            self._values.plan.dtype, num_steps, element_shape=(None, None)
        )
        return _State(tf.constant(0), lines, carries, results)

    def step(self, state: _State) -> _State:
        """Sample a pixel of each slot; return the next state."""
        here, known = self._table.unpack(self._by_step[state.step])
        caches = self._columns.around(state.lines)
        lanes = self._in_loop.in_body()
        begun, of_layers = self._begin(caches, lanes)
        # A slot at the first column begins a row. The others continue theirs.
        carries = _rows_where(self._is_first[state.step], begun, state.carries)
        of_left = tuple(map(tuple, self._carried.unpack(carries)))
        place = Place(known, of_left, of_layers)
        sampled = lanes.sample_pixel(self._choice.choose, here, place)
        kept = [list(kept) for kept in sampled.kept]
        ended = lanes.end_row([_center(cache) for cache in caches], {}, kept)
        above = self._where_above(self._is_above[state.step + self._schedule.history])
        packed = self._columns.pack(ended)
        # A slot without a pixel hands on a column of the row above the image, or of the
        # zeros beyond the end of a row.
        columns = _rows_where(self._is_sampled[state.step], packed, above)
        results = self.found.pack([self._choice.results(sampled)])
        return _State(
            step=state.step + 1,
            lines=self._columns.push(columns, state.lines),
            carries=self._pack_carries(sampled.carries),
            results=state.results.write(state.step, results),
        )

    def _begin(self, caches: Sequence[Sequence[Any]], values: PlanValues):
        """Return the packed carries of rows that begin, and the layers' tensors."""
        begun = [
            step.operation.begin_pixel(values.weights[step], cache)
            for step, cache in zip(values.plan.causal_layers, caches, strict=True)
        ]
        carries = self._pack_carries([carry for carry, _ in begun])
        return carries, [of_layer for _, of_layer in begun]

    def _pack_carries(self, carries: Sequence[Sequence[tf.Tensor]]) -> tf.Tensor:
        no_carry = self._nothing[:, :0]  # Not all models have a carry to pack.
        return self._carried.pack([*carries, [no_carry]])

    def _where_above(self, mask: tf.Tensor) -> tf.Tensor:
        """Return columns of the row above the image where a mask is true, else 0."""
        return _rows_where(mask, self._columns.initial, self._nothing)


class _Columns:
    """The caches of all layers, column by column.

    A line has the latest columns of the layers of one reach, oldest first. It is a list
    of tensors, so that a step moves no columns but the newest. A column is `(tensors,
    batch, size)`, which a step takes apart without a copy, so tensors of other sizes
    have lines of their own.

    Args:
        values: The `PlanValues` of the images.
        caches: The caches before the first row, one column wide.

    Attributes:
        initial: The columns above an image, packed, `(batch, n)`.
    """

    def __init__(self, values: PlanValues, caches: Sequence[Tensors]):
        self._dtype, self._caches = values.plan.dtype, caches
        layers = values.plan.causal_layers
        # The places of tensors by kind: layer, and position in its cache.
        self._places: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
        for n, (step, cache) in enumerate(zip(layers, caches, strict=True)):
            for position, tensor in enumerate(cache):
                # A layer that sees only its own row may have no columns.
                if has_columns(tensor):
                    kind = step.operation.reach, tensor.shape[-1], tensor.dtype
                    self._places.setdefault(kind, []).append((n, position))
        self.initial = self.pack(
            [[x[0] if has_columns(x) else x for x in cache] for cache in caches]
        )
        # A slot reads what the one before it has sampled.
        batch = tf.shape(self.initial)[0]
        slots_above = (tf.range(batch) - values.batch) % batch
        self._widths, self._rows_above = [], []
        for (_, size, _), places in self._places.items():
            self._widths.append(size * len(places))
            index = tf.range(len(places))[:, tf.newaxis]
            rows = slots_above * len(places) + index
            self._rows_above.append(rows if len(places) > 1 else slots_above)

    def pack(self, caches: Sequence[Sequence[tf.Tensor]]) -> tf.Tensor:
        """Return caches of single columns as one tensor."""
        places = [place for places in self._places.values() for place in places]
        columns = [tf.cast(caches[n][position], self._dtype) for n, position in places]
        return tf.concat(columns, axis=-1)

    def empty_lines(self, lag: int) -> list[list[Any]]:
        """Return lines to be filled, which end `lag` columns behind the newest one."""
        return [[None] * (lag + reach) for reach, *_ in self._places]

    def push(self, columns: tf.Tensor, lines: list[list[Any]]) -> list[list[Any]]:
        """Return the lines after a step, given the columns of `pack`.

        TensorFlow would split `tf.roll` and `tf.transpose` among threads, which takes
        far longer than they do.
        """
        parts = tf.split(columns, self._widths, axis=-1)
        kinds = zip(lines, parts, self._places, self._rows_above, strict=True)
        return [
            [*line[1:], tf.gather(tf.reshape(part, (-1, size)), rows)]
            for line, part, (_, size, _), rows in kinds
        ]

    def around(self, lines: list[list[Any]]) -> list[list[Any]]:
        """Return the cache of each layer, with tuples of the columns that it reads."""
        caches: list[list[Any]] = [list(cache) for cache in self._caches]
        kinds = zip(self._places.items(), lines, strict=True)
        for ((reach, _, dtype), places), line in kinds:
            columns = line[: 2 * reach + 1]
            # TensorFlow removes a split in one part, but not this.
            if len(places) > 1:
                tensors = zip(*map(tf.unstack, columns), strict=True)
            else:
                tensors = [columns]
            for (n, position), around in zip(places, tensors, strict=True):
                caches[n][position] = tuple(tf.cast(x, dtype) for x in around)
        return caches


def _rows_where(mask: tf.Tensor, ones: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Choose between rows; far faster than `tf.where`, which broadcasts the mask."""
    return tf.raw_ops.Select(condition=mask, x=ones, y=others)


def _center(cache: Sequence[Any]) -> tuple[tf.Tensor, ...]:
    """Return a cache of columns around a pixel, of the center alone."""
    return tuple(x[len(x) // 2] if isinstance(x, tuple) else x for x in cache)


def has_columns(tensor: tf.Tensor) -> bool:
    """Whether a tensor of a cache is `(width, batch, n)`."""
    return tensor.shape.rank == 3
