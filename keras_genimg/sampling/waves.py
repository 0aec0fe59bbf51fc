"""Several rows of an image at once, each some columns behind the one above."""

import copy

import numpy as np
import tensorflow as tf

from keras_genimg.layers.causal_layer import is_stepped, reach_of
from keras_genimg.sampling.packing import Packer

# Above, the products of a step take longer than starting its operations.
LARGEST_BATCH = 24


def wave_reach(layers, height, width):
    """Return the largest `reach` of causal layers, or None if waves are not faster.

    Args:
        layers: All causal layers of a model.
        height: Height of its images; None or a tensor if unknown.
        width: Their width.
    """
    if not (isinstance(height, int) and isinstance(width, int)):
        return None
    reaches = [reach_of(layer) if is_stepped(layer) else None for layer in layers]
    if not reaches or None in reaches:
        return None
    reach = max(reaches)
    return reach if pay(height, width, reach) else None


def pay(height, width, reach):
    """Return whether waves take at most half as many steps as there are pixels."""
    return 2 * _num_steps(height, width, reach) <= height * width


def _num_steps(height, width, reach):
    return width + (reach + 1) * (height - 1)


class Waves:
    """Order of drawing in which each row is `reach + 1` columns behind the one above.

    A step draws one pixel of each row that is being drawn. Row `r` is in slot
    `r % num_slots`. Two rows of a slot are at least `reach` idle steps apart, which
    stand for the zeros beyond the ends of a row.

    Args:
        run: A `PixelRun` whose causal layers all have a `reach`.
        reach: The largest of them.
    """

    def __init__(self, run, reach):
        self.run, self.reach, self.lag = run, reach, reach + 1
        self.num_slots = -(-(run.width + reach) // self.lag)
        self.num_steps = _num_steps(run.height, run.width, reach)
        # The slots are a batch of images of one column.
        self.lanes = copy.copy(run)
        self.lanes.batch, self.lanes.width = self.num_slots * run.batch, 1
        self.for_lanes = self.lanes.for_loop(self.lanes.batch)
        # Before the first step come columns of the row of initial states above.
        self.history = 2 * reach + 1
        steps = np.arange(-self.history, self.num_steps)[:, None]
        since = steps - self.lag * np.arange(self.num_slots)
        turns, columns = np.divmod(since, self.lag * self.num_slots)
        rows = np.arange(self.num_slots) + self.num_slots * turns
        inside = columns < run.width
        self.is_above = inside & (rows == -1)
        rows, columns, inside = (x[self.history :] for x in (rows, columns, inside))
        self.is_drawn = inside & (0 <= rows) & (rows < run.height)
        self.is_first = columns == 0
        self.pixels = np.where(self.is_drawn, rows * run.width + columns, 0)

    def visit(self, given, choose, more, num_examples, num_rows):
        """Visit all pixels. See `PixelRun.visit` for arguments and results."""
        run = self.run
        columns = _Columns(run, self.lanes.initial_caches())
        masks = self.is_drawn, self.is_first, self.is_above
        is_drawn, is_first, is_above = (
            tf.repeat(tf.constant(mask), run.batch, axis=1) for mask in masks
        )
        nothing = tf.zeros_like(columns.initial)
        no_carry = nothing[:, :0]  # Not all models have a carry to bundle.
        known = [run.maps[value] for value in run.known]
        groups = [[self._skewed(x) for x in given], [self._skewed(x) for x in known]]
        table, found, carried = (Packer(run.dtype) for _ in range(3))
        packed = table.pack(groups)

        def begin(caches, weights):
            begun = [
                step.operation.begin_pixel(weights[id(step)], cache)
                for step, cache in zip(run.causal, caches, strict=True)
            ]
            carries = [*(carry for carry, _ in begun), [no_carry]]
            return carried.pack(carries), [row for _, row in begun]

        def step(t, lines, carries, results):
            here, known = table.unpack(packed[t])
            caches = columns.around(lines)
            lanes = self.for_lanes()
            begun, rows = begin(caches, lanes.weights)
            carries = _rows_where(is_first[t], begun, carries)
            pixel, params, values, states = lanes.draw_pixel(
                lambda *arguments: choose(*arguments, *here),
                run.known_values(known),
                carried.unpack(carries),
                rows,
            )
            results_here = [pixel] if more is None else [pixel, more(params, values)]
            kept = [list(kept) for _, kept in states]
            ended = lanes.end_row([_center(cache) for cache in caches], {}, kept)
            above = _rows_where(is_above[t + self.history], columns.initial, nothing)
            drawn = _rows_where(is_drawn[t], columns.pack(ended), above)
            lines = columns.push(drawn, lines)
            carries = carried.pack([*(carry for carry, _ in states), [no_carry]])
            results = results.write(t, found.pack([results_here]))
            return t + 1, lines, carries, results

        # No line is longer than the history, which fills it.
        lines = columns.empty_lines(self.lag)
        for mask in tf.unstack(is_above[: self.history]):
            above = _rows_where(mask, columns.initial, nothing)
            lines = columns.push(above, lines)
        begun, _ = begin(columns.around(lines), run.weights)
        # A check may want more, which are those of a larger scale.
        num_rows = tf.minimum(num_rows, run.height)
        num_steps = _num_steps(num_rows, run.width, self.reach)
        results = tf.TensorArray(run.dtype, num_steps, element_shape=(None, None))
        *_, results = tf.while_loop(
            lambda t, *_: t < num_steps,
            step,
            (tf.constant(0), lines, begun, results),
            maximum_iterations=num_steps,
            parallel_iterations=2,  # 10 by default, which is slower.
        )
        row, column = np.indices((run.height, run.width), "int32")
        index = self.num_slots * (column + self.lag * row) + row % self.num_slots
        results = tf.reshape(results.stack(), (-1, run.batch, found.size))
        results = tf.gather(results, tf.minimum(index, tf.shape(results)[0] - 1))
        # In the rest of an image, idle slots may have left what is not a number.
        is_visited = tf.constant(row)[..., None, None] < num_rows
        results = tf.where(is_visited, results, 0)
        ((pixels, *others),) = found.unpack(results)
        return [pixels, *(other[:, :, :num_examples] for other in others)]

    def _skewed(self, tensor):
        """Return `(height, width, batch, n)` by step, `(steps, slots * batch, n)`."""
        size = tensor.shape[-1]
        tensor = tf.reshape(tensor, (-1, self.run.batch, size))
        tensor = tf.gather(tensor, self.pixels)
        return tf.reshape(tensor, (self.num_steps, -1, size))


class _Columns:
    """The caches of all layers, column by column.

    A line has the latest columns of the layers of one reach, oldest first. It is a list
    of tensors, so that a step moves no columns but the newest. A column is `(tensors,
    batch, size)`, which a step takes apart without a copy, so tensors of other sizes
    have lines of their own.

    Args:
        run: A `PixelRun`.
        caches: The caches before the first row, one column wide.

    Attributes:
        initial: The columns above an image, packed, `(batch, n)`.
    """

    def __init__(self, run, caches):
        self._dtype, self._caches = run.dtype, caches
        # The places of tensors by kind: layer, and position in its cache.
        self._places: dict[tuple, list] = {}
        for n, (step, cache) in enumerate(zip(run.causal, caches, strict=True)):
            for position, tensor in enumerate(cache):
                # A layer that sees only its own row may have no columns.
                if has_columns(tensor):
                    kind = step.operation.reach, tensor.shape[-1], tensor.dtype
                    self._places.setdefault(kind, []).append((n, position))
        self.initial = self.pack(
            [[x[0] if has_columns(x) else x for x in cache] for cache in caches]
        )
        # A slot reads what the one before it has drawn.
        batch = tf.shape(self.initial)[0]
        slots_above = (tf.range(batch) - run.batch) % batch
        self._widths, self._rows_above = [], []
        for (_, size, _), places in self._places.items():
            self._widths.append(size * len(places))
            index = tf.range(len(places))[:, tf.newaxis]
            rows = slots_above * len(places) + index
            self._rows_above.append(rows if len(places) > 1 else slots_above)

    def pack(self, caches):
        """Return caches of single columns as one tensor."""
        places = [place for places in self._places.values() for place in places]
        columns = [tf.cast(caches[n][position], self._dtype) for n, position in places]
        return tf.concat(columns, axis=-1)

    def empty_lines(self, lag):
        """Return lines to be filled, which end `lag` columns behind the newest one."""
        return [[None] * (lag + reach) for reach, *_ in self._places]

    def push(self, columns, lines):
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

    def around(self, lines):
        """Return the cache of each layer, with tuples of the columns that it reads."""
        caches = [list(cache) for cache in self._caches]
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


def _rows_where(mask, ones, others):
    """Choose between rows; far faster than `tf.where`, which broadcasts the mask."""
    return tf.raw_ops.Select(condition=mask, x=ones, y=others)


def _center(cache):
    """Return a cache of columns around a pixel, of the center alone."""
    return tuple(x[len(x) // 2] if isinstance(x, tuple) else x for x in cache)


def has_columns(tensor):
    """Whether a tensor of a cache is `(width, batch, n)`."""
    return tensor.shape.rank == 3
