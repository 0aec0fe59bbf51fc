"""The fast sampler: evaluates each pixel once, with caches of earlier results."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_genimg.layers.causal_layer import CausalLayer, has_step_row, is_stepped
from keras_genimg.ops.convolution import for_batch
from keras_genimg.ops.devices import is_on_gpu
from keras_genimg.ops.precision import has_half_precision, is_quantized
from keras_genimg.sampling.packing import Packer, Stacks, tensors_in
from keras_genimg.sampling.pointwise import autocast
from keras_genimg.sampling.program import Level, Program, step_arguments
from keras_genimg.sampling.simplified import simplified
from keras_genimg.sampling.waves import LARGEST_BATCH, Waves, has_columns, wave_reach
from keras_genimg.types import Shape, TensorLike

# An evaluation of a row takes about four times as long as that of a pixel. Where no row
# settles, 16, 8, 4, 2 and 1 are wasted, and no more.
_MOST_GUESSES = 16


def incremental_sampler(
    model: keras.Model,
    jit_compile: bool = False,
    record: Callable[..., Any] | None = None,
    num_checked: tf.Tensor | int = -1,
    is_small: bool | None = None,
) -> Callable[..., tf.Tensor]:
    """Return a function that draws images at about the cost of one forward pass.

    The model's graph is compiled to a program of two nested loops, over rows and over
    the pixels of a row. Layers that implement `CausalLayer` are stepped, and pointwise
    layers are called on single pixels. Operations that do not depend on the image run
    once, on whole maps. The images are those of the ancestral sampler.

    There are two faster ways for small batches. If all layers have a `reach`, several
    rows are drawn at once, each some columns behind the one above, see `Waves`.
    Otherwise, a single image of two-valued pixels is drawn row by row, if all layers
    evaluate rows at once. A row is guessed to be the one above, evaluated and drawn,
    again and again until it no longer changes, which takes far fewer evaluations than
    pixels. A row that does not settle is drawn pixel by pixel.

    Args:
        model: An `AutoregressiveModel`.
        jit_compile: Whether the graph will be compiled with XLA. Otherwise, the program
            uses fused kernels, which XLA lacks.
        record: Function that each call is reported to, for a check of the sampler: the
            model; the first two images; the parameters that they were drawn from, in
            the shape of the model's output; and their conditions.
        num_checked: Number of rows to draw for a check, which guesses every second row
            if rows may be guessed. Later rows are zero. By default, -1, all rows are
            drawn, and the batch size decides how often they are guessed.
        is_small: Whether to draw in the model's faster way, if it has one, for batches
            up to `largest_small_batch`. By default, the graph has both ways, and the
            batch size decides.

    Returns:
        A function of `uniforms` (batch, height, width, colors), a `temperature` that
        broadcasts against those of one color, a list of conditions, and optionally
        `images` and `known`, that returns float32 images of the shape of `uniforms`. A
        `ValueError` names any layer whose output depends on the image and that is
        neither causal nor pointwise.
    """

    def draw(uniforms, temperature, conditions, images=None, known=None):
        # Of gray images, a stack then holds both, see `Stacks`.
        given = [temperature * tf.ones_like(uniforms[..., :1]), uniforms]
        if known is not None:
            known = tf.cast(tf.broadcast_to(known, tf.shape(images)), tf.float32)
            given += [images, known]
        # By row, then column: (height, width, batch, colors).
        given = [tf.transpose(tensor, (1, 2, 0, 3)) for tensor in given]

        def choose(params, here, temperature, uniforms, *completed):
            drawn = model.likelihood.sample(params, uniforms[:, here], temperature)
            if completed:
                images, known = completed
                drawn = tf.where(known[:, here] > 0, images[:, here], drawn)
            return drawn

        run = PixelRun(model, given[1], conditions, fused=not jit_compile)
        more = _parameters_of_pixel if record is not None else None
        num_rows = tf.where(num_checked < 0, run.height, num_checked)
        arguments = given, choose, more, 2, num_rows
        small = is_small
        if small is None:  # A tensor if only the graph knows the size of a batch.
            small = run.batch <= (1 if run.wave_reach is None else LARGEST_BATCH)
        if run.wave_reach is not None and small is not False:
            waves = Waves(run, run.wave_reach)
            ways = [lambda: waves.visit(*arguments), lambda: run.visit(*arguments)]
            drawn, *params = ways[0]() if small is True else tf.cond(small, *ways)
        elif run.evaluates_rows and small is not False:
            most = tf.where(run.batch == 1, _MOST_GUESSES, 0)
            # One guess more than there are pixels always suffices.
            most = tf.where(num_checked < 0, most, -run.width - 1)
            drawn, *params = run.visit(*arguments, most)
        else:
            drawn, *params = run.visit(*arguments)
        drawn = tf.transpose(drawn, (2, 0, 1, 3))
        drawn = tf.ensure_shape(drawn, uniforms.shape)  # See `PixelRun.doubled`.
        if record is not None:
            params = _as_output(*params, model)
            given = [values[:2] for values in conditions]
            record(model, drawn[:2], params, given)
        return drawn

    return draw


def largest_small_batch(model: keras.Model, image_shape: Shape) -> int:
    """Return the size up to which batches are drawn in a faster way; 0 for none.

    Args:
        model: An `AutoregressiveModel`.
        image_shape: `(height, width, colors)`.
    """
    layers = [x for x in model._flatten_layers() if isinstance(x, CausalLayer)]
    reach, guesses_rows = _faster_ways(model, layers, *image_shape[:2])
    return int(guesses_rows) if reach is None else LARGEST_BATCH


def _faster_ways(model, layers, height, width):
    """Return how small batches are drawn, if images do not depend on it, without XLA.

    Args:
        model: An `AutoregressiveModel`.
        layers: Its causal layers.
        height: See `wave_reach`.
        width: See `wave_reach`.

    Returns:
        The reach of waves, or None for no waves; and whether the rows of single images
        are guessed.
    """
    if has_half_precision(model) or is_quantized(model) or is_on_gpu():
        return None, False
    reach = wave_reach(layers, height, width)
    # With few values, a row settles soon.
    is_binary = model.likelihood.num_values == 2 and model.image_shape[-1] == 1
    steps_rows = all(has_step_row(x) for x in layers if is_stepped(x))
    return reach, reach is None and is_binary and steps_rows


def teacher_forced_params(
    model: keras.Model,
    images: TensorLike,
    conditions: Sequence[TensorLike] = (),
    jit_compile: bool = False,
) -> tf.Tensor:
    """Compute the parameters of given images with the incremental sampler.

    The sampler's program runs pixel by pixel with the same caches, but on given images
    instead of drawn ones. If the program is correct, the parameters equal those of a
    forward pass, up to rounding.

    Args:
        model: An `AutoregressiveModel`.
        images: Float32 images in the likelihood's own range, `(batch, height, width,
            colors)`.
        conditions: The model's inputs besides the images, in order.
        jit_compile: Whether the graph will be compiled with XLA.

    Returns:
        Parameters of every sub-pixel, in the shape of the model's output.

    Raises:
        ValueError: If the output of a layer depends on the image and the layer is
            neither causal nor pointwise. The error names the layer.
    """
    given = tf.transpose(images, (1, 2, 0, 3))
    run = PixelRun(model, given, conditions, fused=not jit_compile)
    _, params = run.visit([given], given_pixel, _parameters_of_pixel)
    return _as_output(params, model)


def given_pixel(params, here, pixel):
    """Return some colors of a given pixel, instead of drawn ones."""
    return pixel[:, here]


def _parameters_of_pixel(params, values):
    """Return the parameters of all colors of a pixel, concatenated."""
    parts = [merged(part, 1) for part in params]
    return tf.concat(parts, axis=-1) if len(parts) > 1 else parts[0]


def _as_output(params, model):
    """Return `(height, width, batch, n)` in the shape of the model's output."""
    sizes = tf.unstack(tf.shape(params)[:3])
    params = tf.reshape(params, (*sizes, *model.outputs[0].shape[3:]))
    return tf.transpose(params, (2, 0, 1, *range(3, params.shape.rank)))


class PixelRun:
    """The graph of one run of a model's `Program` over the pixels of a batch of images.

    Args:
        model: An `AutoregressiveModel`.
        template: Tensor of shape `(height, width, batch, colors)`.
        conditions: The model's inputs besides the images, in order.
        fused: Whether TensorFlow's fused kernels may be used, which XLA lacks.
        simplify: Whether not all values need to be computed, see `simplified`.
    """

    def __init__(self, model, template, conditions, fused, simplify=True):
        self.program = program = Program(model)
        self.fused = fused
        self.couples_colors = model.likelihood.couples_colors
        self.height, self.width, self.batch, self.colors = ops.shape(template)
        values = [program.inputs[0]]
        values += [value for step in program.instructions for value in step.outputs]
        is_double = any(value.spec.dtype == "float64" for value in values)
        self.dtype = tf.float64 if is_double else tf.float32
        steps = [step for step in program.instructions if step.level != Level.FIXED]
        if simplify:
            steps = simplified(steps, program.output)
        self.products = [step for step in steps if step.weights is not None]
        self.row_steps = [step for step in steps if step.level == Level.ROWS]
        self.pixel_steps = [step for step in steps if step.level == Level.PIXEL]
        # Causal layers; those with a `step` come first.
        causal = [step for step in steps if step.pixel is None]
        self.stepped = [step for step in causal if step.level == Level.PIXEL]
        self.causal = self.stepped + [s for s in causal if s.level == Level.ROWS]
        self.weights = {id(step): step.weights for step in self.products}
        self.weights |= {id(s): s.operation.prepare(fused) for s in self.causal}
        self.maps = self._maps(conditions, steps)
        self.fed = self._fed_by_pixel()
        # Grappler empties the result of a loop that adds `carry + constant` to itself
        # (TensorFlow 2.21), unless something stands between.
        used = [step.inputs for step in self.pixel_steps]
        self.doubled = {x for each in used for x in each if each.count(x) > 1}
        needed = [value for step in self.pixel_steps for value in step.inputs]
        needed = dict.fromkeys((*needed, program.output))
        self.known = [value for value in needed if value.level != Level.PIXEL]
        # How small batches are drawn, see `_faster_ways`.
        self.wave_reach, self.evaluates_rows = None, False
        if fused and not is_double:
            layers = [step.operation for step in self.causal]
            ways = _faster_ways(model, layers, self.height, self.width)
            self.wave_reach, self.evaluates_rows = ways
            if self.wave_reach is not None:
                caches = tf.nest.flatten(self.initial_caches())
                if not any(map(has_columns, caches)):
                    self.wave_reach = None  # A wave would have nothing to pass on.
        # Made here, outside of the branches for small and large batches.
        self.for_pixel = self.for_loop(self.batch)
        if self.evaluates_rows:
            self.for_row = self.for_loop(self.width * self.batch)
        # Inputs of layers that see only finished rows, kept for each pixel.
        self.inputs_kept = [
            step.inputs[0]
            for step in self.causal[len(self.stepped) :]
            if step.inputs[0].level == Level.PIXEL
        ]

    def _maps(self, conditions, steps):
        """Return the fixed values that pixels use, `(height, width, batch, n)`."""
        values = self.program.on_maps([None, *conditions], Level.FIXED)
        maps = {}
        met = [value for step in steps for value in step.inputs]
        for value in (*met, self.program.output):
            if value.level == Level.FIXED and value not in maps:
                tensor = merged(values[value], 3)
                shape = (self.batch, self.height, self.width, tensor.shape[-1])
                tensor = tf.broadcast_to(tensor, shape)
                maps[value] = tf.transpose(tensor, (1, 2, 0, 3))
        return maps

    def _fed_by_pixel(self):
        """Return the instructions that the value of the pixel itself can change.

        Behind a layer with mask A, nothing changes: its output hides the pixel, or, of
        a color image, at least the last color.
        """
        changing, fed = {self.program.inputs[0]}, set()
        for step in self.pixel_steps:
            if any(value in changing for value in step.inputs):
                fed.add(id(step))
                if not _hides_pixel(step):
                    changing.update(step.outputs)
        return fed

    def for_loop(self, batch):
        """Return a function that gives this run to the body of a loop.

        The body then reads few tensors from outside, see `Stacks`.

        Args:
            batch: Number of examples that the body evaluates.
        """
        if not self.fused:
            return lambda: self
        causal = {id(step): self.weights[id(step)] for step in self.causal}
        # A layer of a user may prepare tensors of unknown shapes.
        stacked = {
            key: weights
            for key, weights in causal.items()
            if all(x.shape.is_fully_defined() for x in tensors_in(weights))
        }
        stacked |= {id(s): for_batch(s.weights, batch) for s in self.products}
        # Not the dict, which would be sorted by its keys, addresses in memory.
        stacks = Stacks(list(stacked.values()))

        def in_body():
            run = copy.copy(self)
            parts = dict(zip(stacked, stacks.parts(), strict=True))
            run.weights = {**self.weights, **parts}
            return run

        return in_body

    def visit(
        self,
        given,
        choose,
        more=None,
        num_examples=None,
        num_rows=None,
        num_guesses=None,
    ):
        """Visit all pixels, row by row and from left to right.

        Args:
            given: List of tensors `(height, width, batch, n)`, passed to `choose`.
            choose: Function of `(params, here, *given)`: the parameters of one color,
                `(batch, 1, ...)`; the slice of this color; and the given tensors at
                this pixel, `(batch, n)`. It returns the sub-pixel, `(batch, 1)`. With
                coupled colors, it gets the parameters of the pixel, `(batch, ...)`, and
                the slice of all colors, and returns the whole pixel.
            more: Function of `(params, values)`: the list of the parameters of all
                colors, or with coupled colors of the pixel; and the dict of all values
                of the pixel by `Value`. It returns a further result for the pixel,
                float32 `(batch, n)`.
            num_examples: Number of examples to keep of the further result, or None for
                all.
            num_rows: Scalar tensor, the number of rows to visit, or None for all. The
                results of later rows are zero.
            num_guesses: Scalar tensor, how often a row may be guessed before it is
                visited pixel by pixel, or None for never, unless `evaluates_rows`. If
                negative, every second row is guessed so often, and no other.

        Returns:
            List of the pixels, `(height, width, batch, colors)`; and of the further
            result, `(height, width, num_examples, n)`, if there is one.
        """
        packer, shapes = Packer(self.dtype), []

        def visit_row(r, caches, rows, above, guesses):
            values = {value: tensor[r] for value, tensor in self.maps.items()}
            carries, of_layers = self.begin_row(values, caches)
            known = [merged(values[value], 2) for value in self.known]
            groups = [[tensor[r] for tensor in given], known, *of_layers]
            row_of = Stacks(groups, axis=1)

            def pack(pixel, params, values, kept):
                inputs = [values[value] for value in self.inputs_kept]
                results = [pixel] if more is None else [pixel, more(params, values)]
                return packer.pack([results, *kept, inputs])

            def visit_pixel(c, carries, kept):
                here, known, *of_layers = row_of.parts_at(c)
                pixel, params, values, states = self.for_pixel().draw_pixel(
                    lambda *arguments: choose(*arguments, *here),
                    self.known_values(known),
                    carries,
                    of_layers,
                )
                packed = pack(pixel, params, values, [kept for _, kept in states])
                after = _like(tuple(carry for carry, _ in states), carries)
                return c + 1, after, kept.write(c, packed)

            def visit_two(*state):
                return visit_pixel(*visit_pixel(*state))

            # An iteration costs time besides that of its operations. Two pixels take
            # longer to trace, which does not pay off between guessed rows.
            is_even = isinstance(self.width, int) and self.width % 2 == 0
            in_pairs = self.fused and is_even and num_guesses is None

            def visit_pixels():
                kept = tf.TensorArray(
                    self.dtype, self.width, element_shape=(None, None)
                )
                _, _, kept = tf.while_loop(
                    lambda c, *_: c < self.width,
                    visit_two if in_pairs else visit_pixel,
                    (tf.constant(0), carries, kept),
                    maximum_iterations=self.width,
                )
                return kept.stack()

            def guess(n, changed, row):
                pixels = row[..., : self.colors]
                pixels.set_shape((None, None, self.colors))
                here, known = (
                    [_examples(tensor) for tensor in group] for group in groups[:2]
                )
                values, states = self.for_row()._evaluate(
                    _examples(pixels),
                    self.known_values(known),
                    carries,
                    of_layers,
                    step_layer=self._step_row,
                )
                params = values[self.program.output]
                drawn = choose(params, slice(None), *here)
                packed = pack(drawn, [params], values, [kept for _, kept in states])
                row = tf.reshape(packed, (self.width, -1, packed.shape[-1]))
                changed = tf.reduce_any(row[..., : self.colors] != pixels)
                return n + 1, changed, row

            if num_guesses is None:
                kept = visit_pixels()
            else:
                shape = tf.TensorShape([None, None, None])
                _, changed, kept = tf.while_loop(
                    lambda n, changed, _: changed & (n < guesses),
                    guess,
                    (tf.constant(0), tf.constant(True), above),
                    shape_invariants=(None, None, shape),
                )
                kept = tf.cond(changed, visit_pixels, lambda: kept)
                # Rows that do not settle are rarely alone.
                more_guesses = tf.minimum(2 * guesses, num_guesses)
                guesses = tf.where(
                    num_guesses < 0,
                    -guesses,
                    tf.where(changed, guesses // 2, more_guesses),
                )
            kept.set_shape((*above.shape[:2], packer.size))
            above = kept[..., : self.colors]
            (pixels, *others), *kept, inputs = packer.unpack(kept)
            values.update(zip(self.inputs_kept, inputs, strict=True))
            results = [pixels, *(other[:, :num_examples] for other in others)]
            shapes[:] = [result.shape for result in results]
            rows = [row.write(r, x) for row, x in zip(rows, results, strict=True)]
            caches = _like(self.end_row(caches, values, kept), caches)
            return r + 1, caches, rows, above, guesses

        rows = [
            tf.TensorArray(tf.float32, self.height, element_shape=(None,) * 3)
            for _ in range(1 if more is None else 2)
        ]
        num_rows = self.height if num_rows is None else num_rows
        above = tf.zeros((self.width, self.batch, self.colors), self.dtype)
        guesses = tf.constant(0) if num_guesses is None else num_guesses
        _, _, rows, _, _ = tf.while_loop(
            lambda r, *_: r < num_rows,
            visit_row,
            (tf.constant(0), self.initial_caches(), rows, above, guesses),
            maximum_iterations=self.height,
        )
        results = [row.stack() for row in rows]
        for result, shape in zip(results, shapes, strict=True):
            result.set_shape((None, *shape))
        return results

    def initial_caches(self):
        """Return the cache of each causal layer before the first row."""
        return tuple(
            step.operation.initial_cache(
                self.weights[id(step)],
                self.batch,
                self.width,
                step.inputs[0].spec.shape[-1],
            )
            for step in self.causal
        )

    def begin_row(self, values, caches):
        """Compute everything that depends only on finished rows.

        Args:
            values: Dict of `(width, batch, n)` tensors by `Value`, to which those of
                level `ROWS` are added.
            caches: Cache of each causal layer.

        Returns:
            Carries of the stepped layers before the first pixel, and the tensors that
            each of them needs at the pixels of the row.
        """
        cache_of = {id(s): cache for s, cache in zip(self.causal, caches, strict=True)}
        begun = [
            step.operation.begin_row(self.weights[id(step)], cache_of[id(step)])
            for step in self.stepped
        ]
        for step in self.row_steps:
            if step.pixel is not None:
                outputs = self._over_row(step, values)
            else:
                arguments = [self.weights[id(step)], cache_of[id(step)]]
                if step.operation.sees_whole_row:
                    row = values[step.inputs[0]]
                    arguments.append(tf.cast(row, step.operation.compute_dtype))
                _, outputs = step.operation.begin_row(*arguments)
            values.update(zip(step.outputs, outputs, strict=True))
        return tuple(tuple(carry) for carry, _ in begun), [row for _, row in begun]

    def _over_row(self, step, values):
        """Apply a pointwise operation to a row, `(width, batch, ...)`."""
        flat = {
            value: tf.reshape(values[value], (-1, *value.spec.shape[3:]))
            for value in step.inputs
        }
        args, kwargs = step.fill(flat)
        outputs = tf.nest.flatten(self._pointwise(step, args, kwargs))
        sizes = (self.width, self.batch)
        return [tf.reshape(x, (*sizes, *x.shape[1:])) for x in outputs]

    def end_row(self, caches, values, kept):
        """Return the caches for the next row.

        Args:
            caches: Cache of each causal layer.
            values: Dict of `(width, batch, n)` tensors by `Value`.
            kept: What the steps of each stepped layer kept, `(width, batch, n)` each.
        """
        for step in self.causal[len(self.stepped) :]:
            row = values[step.inputs[0]]
            kept.append([tf.cast(row, step.operation.compute_dtype)])
        after = list(caches)
        kinds = [type(step.operation) for step in self.causal]
        weights = [self.weights[id(step)] for step in self.causal]
        for kind in dict.fromkeys(kinds):
            members = [number for number, other in enumerate(kinds) if other is kind]
            ended = kind.end_rows(
                [self.causal[number].operation for number in members],
                *([group[n] for n in members] for group in (weights, caches, kept)),
            )
            for number, cache in zip(members, ended, strict=True):
                after[number] = tuple(cache)
        return tuple(after)

    def draw_pixel(self, choose, *place):
        """Draw one pixel, color by color or all colors together.

        Args:
            choose: Function of `(params, here)`, see `visit`.
            *place: Arguments of `_evaluate` after the pixel.

        Returns:
            The pixel, `(batch, colors)`; the parameters of each color, or of the pixel;
            all values of the pixel; and the carry and kept tensors of each stepped
            layer.
        """
        pixel, params = tf.zeros((self.batch, self.colors)), []
        for color in range(1 if self.couples_colors else self.colors):
            values, states = self._evaluate(pixel, *place)
            params.append(values[self.program.output])
            here = slice(None)
            if not self.couples_colors:
                here = slice(color, color + 1)
                params[-1] = params[-1][:, here]
            drawn = choose(params[-1], here)
            if self.couples_colors or self.colors == 1:
                pixel = drawn
                pixel.set_shape((None, self.colors))
            else:
                rest = tf.zeros_like(pixel[:, color + 1 :])
                pixel = tf.concat([pixel[:, :color], drawn, rest], axis=-1)
        # Run the readers of the pixel again, now with its last color.
        values, states = self._evaluate(pixel, *place, (values, states))
        return pixel, params, values, states

    def _evaluate(self, pixel, known, carries, rows, earlier=None, step_layer=None):
        """Run the program on one pixel, or on all pixels of a row.

        Args:
            pixel: `(batch, colors)`, with zeros for colors not drawn yet. Of a row,
                `(width * batch, colors)`.
            known: Values at this pixel that do not depend on its row, by `Value`.
            carries: Carry of each stepped layer.
            rows: Tensors of each stepped layer's row at this pixel, or at all of them.
            earlier: Result of this method for a pixel that differs in its last color,
                or in all colors if they are coupled. Only instructions that this can
                change are then run again.
            step_layer: `_step_row` for a row; `_step` by default.

        Returns:
            Dict of `(batch, channels)` tensors by `Value`; and the carry and kept
            tensors of each stepped layer.
        """
        values = {**(earlier[0] if earlier else {}), **known}
        states: list = list(earlier[1]) if earlier else [()] * len(self.stepped)
        images = self.program.inputs[0]
        values[images] = tf.cast(pixel, images.spec.dtype)
        position = -1
        for step in self.pixel_steps:
            position += step.pixel is None
            if earlier is not None and id(step) not in self.fed:
                continue
            args, kwargs = step.fill(values)
            if step.pixel is not None:
                outputs = self._pointwise(step, args, kwargs)
            else:
                outputs, *states[position] = (step_layer or self._step)(
                    step.operation,
                    (self.weights[id(step)], carries[position], rows[position]),
                    *step_arguments(step.operation, args, kwargs),
                )
                if earlier is not None and _hides_pixel(step):
                    continue
            outputs = tf.nest.flatten(outputs)
            for value, output in zip(step.outputs, outputs, strict=True):
                if value in self.doubled:
                    output = tf.ensure_shape(output, output.shape)
                values[value] = output
        return values, states

    def _pointwise(self, step, args, kwargs):
        """Return the outputs of a pointwise instruction."""
        prepared = [] if step.weights is None else [self.weights[id(step)]]
        return step.pixel(*prepared, *args, **kwargs)

    def known_values(self, known):
        """Return the known values by `Value`, in their shapes, from `(pixels, n)`."""
        return {
            value: tf.reshape(tensor, (-1, *value.spec.shape[3:]))
            for value, tensor in zip(self.known, known, strict=True)
        }

    def _step(self, layer, state, inputs, others):
        """Call a layer's `step` with its arguments in the compute dtype."""
        inputs, others = autocast(layer, (inputs, others))
        outputs, carry, kept = layer.step(*state, inputs, **others)
        return outputs, tuple(carry), tuple(kept)

    def _step_row(self, layer, state, inputs, others):
        """Call a layer's `step_row`; return outputs and kept of all pixels."""
        _, carry, row = state
        if not row and not any(each.shape[-1] for each in carry):
            # A layer of single pixels.
            return self._step(layer, state, inputs, others)

        def wide(leaf):
            if not tf.is_tensor(leaf):
                return leaf
            return tf.reshape(leaf, (self.width, -1, leaf.shape[-1]))

        inputs, others = tf.nest.map_structure(wide, autocast(layer, (inputs, others)))
        found = layer.step_row(*state, inputs, **others)
        outputs, kept = tf.nest.map_structure(_examples, found)
        return outputs, (), kept


def _examples(row):
    """Return a row `(width, batch, n)` as a batch of pixels."""
    return tf.reshape(row, (-1, row.shape[-1]))


def _like(tensors, templates):
    """Return tensors with the static shapes of a loop's variables."""

    def with_shape(tensor, template):
        tensor.set_shape(template.shape)
        return tensor

    return tf.nest.map_structure(with_shape, tensors, templates)


def _hides_pixel(step):
    return step.pixel is None and getattr(step.operation, "mask_type", None) == "A"


def merged(tensor, num_axes):
    """Return a tensor whose axes after the first `num_axes` are merged into one."""
    if tensor.shape.rank == num_axes + 1:
        return tensor
    sizes = tf.unstack(tf.shape(tensor)[:num_axes])
    return tf.reshape(tensor, (*sizes, tensor.shape[num_axes:].num_elements()))
