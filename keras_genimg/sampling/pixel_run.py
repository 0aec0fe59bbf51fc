"""One run of a program over the pixels of a batch of images."""

import tensorflow as tf
from keras import ops

from keras_genimg.sampling.causal import step_arguments
from keras_genimg.sampling.instructions import Level
from keras_genimg.sampling.raster import visit_pixels


class PixelRun:
    """The graph of one run of a `Program` over the pixels of a batch of images.

    Args:
        program: A `Program`, built in the same graph.
        fused: Whether TensorFlow's fused kernels may be used, which XLA lacks.
        template: Tensor of shape `(height, width, batch, colors)`.
        conditions: The model's inputs besides the images, in order.
        couples_colors: Whether the colors of a pixel are chosen together, from
            parameters that depend on none of them.
    """

    def __init__(self, program, fused, template, conditions, couples_colors):
        self.program = program
        self.couples_colors = couples_colors
        self.height, self.width, self.batch, self.colors = ops.shape(template)
        values = [program.inputs[0]]
        values += [value for step in program.instructions for value in step.outputs]
        is_double = any(value.spec.dtype == "float64" for value in values)
        self.dtype = tf.float64 if is_double else tf.float32
        steps = [step for step in program.instructions if step.level != Level.FIXED]
        self.row_steps = [step for step in steps if step.level == Level.ROWS]
        self.pixel_steps = [step for step in steps if step.level == Level.PIXEL]
        # Causal layers; those with a `step` come first.
        causal = [step for step in steps if step.pixel is None]
        self.stepped = [step for step in causal if step.level == Level.PIXEL]
        self.causal = self.stepped + [s for s in causal if s.level == Level.ROWS]
        self.weights = {id(s): s.operation.prepare(fused) for s in self.causal}
        self.pointwise = {id(s): s.pixel() for s in steps if s.pixel is not None}
        self.maps = self._maps(conditions, steps)
        self.fed = self._fed_by_pixel()
        needed = [value for step in self.pixel_steps for value in step.inputs]
        needed = {value.index: value for value in (*needed, program.output)}
        self.known = [v for v in needed.values() if v.level != Level.PIXEL]
        # Inputs of layers that see only finished rows, kept for each pixel.
        self.inputs_kept = [
            step.inputs[0]
            for step in self.causal[len(self.stepped) :]
            if step.inputs[0].level == Level.PIXEL
        ]

    def _maps(self, conditions, steps):
        """Return the fixed values that pixels use, `(height, width, batch, n)`."""
        values = {
            value.index: tensor
            for value, tensor in zip(self.program.inputs[1:], conditions, strict=True)
        }
        for step in self.program.instructions:
            if step.level == Level.FIXED:
                outputs = step.run(*step.fill(values))
                for value, output in zip(step.outputs, outputs, strict=True):
                    values[value.index] = output
        maps = {}
        met = [value for step in steps for value in step.inputs]
        for value in (*met, self.program.output):
            if value.level == Level.FIXED and value.index not in maps:
                tensor = values[value.index]
                rest = tensor.shape[3:]
                shape = (self.batch, self.height, self.width, *rest)
                tensor = tf.broadcast_to(tensor, shape)
                tensor = tf.transpose(tensor, (1, 2, 0, *range(3, len(shape))))
                shape = (self.height, self.width, self.batch, rest.num_elements())
                maps[value.index] = tf.reshape(tensor, shape)
        return maps

    def _fed_by_pixel(self):
        """Return the instructions that the value of the pixel itself can change.

        Behind a layer with mask A, nothing changes: its output hides the pixel, or, of
        a color image, at least the last color.
        """
        changing, fed = {self.program.inputs[0].index}, set()
        for step in self.pixel_steps:
            if any(value.index in changing for value in step.inputs):
                fed.add(id(step))
                if not _hides_pixel(step):
                    changing.update(value.index for value in step.outputs)
        return fed

    def visit(self, given, choose, more=(), num_examples=None):
        """Visit all pixels.

        Args:
            given: List of tensors `(height, width, batch, n)`, passed to `choose`.
            choose: Function of `(params, here, *given)`: the parameters of one color,
                `(batch, 1, ...)`; the slice of this color; and the given tensors at
                this pixel, `(batch, n)`. It returns the sub-pixel, `(batch, 1)`. With
                coupled colors, it gets the parameters of the pixel, `(batch, ...)`, and
                the slice of all colors, and returns the whole pixel.
            more: Functions of `(params, values)`: the list of the parameters of all
                colors, or with coupled colors of the pixel; and the dict of all values
                of the pixel by index. Each returns a further result for the pixel,
                float32 `(batch, n)`.
            num_examples: Number of examples to keep of the further results, or None
                for all.

        Returns:
            The pixels, `(height, width, batch, colors)`, and a list of the further
            results, `(height, width, num_examples, n)` each.
        """
        caches = tuple(
            step.operation.initial_cache(
                self.weights[id(step)],
                self.batch,
                self.width,
                step.inputs[0].spec.shape[-1],
            )
            for step in self.causal
        )

        def begin_row(r, caches):
            values = {index: tensor[r] for index, tensor in self.maps.items()}
            carries, rows = self._begin_row(values, caches)
            known = [_flat(values[value.index]) for value in self.known]
            groups = [[tensor[r] for tensor in given], known, *rows]
            return groups, carries, values

        def draw_pixel(groups, carries):
            given, known, *rows = groups
            known = {
                value.index: tf.reshape(tensor, (-1, *value.spec.shape[3:]))
                for value, tensor in zip(self.known, known, strict=True)
            }
            pixel, params, values, states = self._draw_pixel(
                known, carries, rows, lambda *arguments: choose(*arguments, *given)
            )
            kept = [kept for _, kept in states]
            kept.append([values[value.index] for value in self.inputs_kept])
            others = [function(params, values) for function in more]
            return pixel, others, tuple(carry for carry, _ in states), kept

        def end_row(caches, values, kept):
            *kept, inputs = kept
            for value, tensor in zip(self.inputs_kept, inputs, strict=True):
                values = {**values, value.index: tensor}
            for step in self.causal[len(self.stepped) :]:
                row = values[step.inputs[0].index]
                kept.append([tf.cast(row, step.operation.compute_dtype)])
            return self._end_row(caches, kept)

        return visit_pixels(
            self.height,
            self.width,
            caches,
            begin_row,
            draw_pixel,
            end_row,
            num_more=len(more),
            num_examples=num_examples,
            dtype=self.dtype,
        )

    def _begin_row(self, values, caches):
        """Compute everything that depends only on finished rows.

        Args:
            values: Dict of `(width, batch, n)` tensors by index of value, to which the
                values of level `ROWS` are added.
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
                    row = values[step.inputs[0].index]
                    arguments.append(tf.cast(row, step.operation.compute_dtype))
                _, outputs = step.operation.begin_row(*arguments)
            for value, output in zip(step.outputs, outputs, strict=True):
                values[value.index] = output
        return tuple(tuple(carry) for carry, _ in begun), [row for _, row in begun]

    def _over_row(self, step, values):
        """Apply a pointwise operation to a row, `(width, batch, ...)`."""
        flat = {
            value.index: tf.reshape(values[value.index], (-1, *value.spec.shape[3:]))
            for value in step.inputs
        }
        args, kwargs = step.fill(flat)
        outputs = tf.nest.flatten(self.pointwise[id(step)](*args, **kwargs))
        sizes = (self.width, self.batch)
        return [tf.reshape(x, (*sizes, *x.shape[1:])) for x in outputs]

    def _end_row(self, caches, kept):
        """Return the caches for the next row."""
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

    def _draw_pixel(self, known, carries, rows, choose):
        """Draw one pixel, color by color or all colors together.

        Returns:
            The pixel, `(batch, colors)`; the parameters of each color, or of the pixel;
            all values of the pixel; and the carry and kept tensors of each stepped
            layer.
        """
        pixel = tf.zeros((self.batch, self.colors))
        if self.couples_colors:
            values, states = self._evaluate(pixel, known, carries, rows)
            params = [values[self.program.output.index]]
            pixel = choose(params[0], slice(None))
            pixel.set_shape((None, self.colors))
            values, states = self._evaluate(
                pixel, known, carries, rows, (values, states)
            )
            return pixel, params, values, states
        params = []
        for color in range(self.colors):
            values, states = self._evaluate(pixel, known, carries, rows)
            here = slice(color, color + 1)
            params.append(values[self.program.output.index][:, here])
            drawn = choose(params[-1], here)
            if self.colors == 1:
                pixel = drawn
            else:
                rest = tf.zeros_like(pixel[:, color + 1 :])
                pixel = tf.concat([pixel[:, :color], drawn, rest], axis=-1)
        # Run the readers of the pixel again, now with its last color.
        values, states = self._evaluate(pixel, known, carries, rows, (values, states))
        return pixel, params, values, states

    def _evaluate(self, pixel, known, carries, rows, earlier=None):
        """Run the program on one pixel.

        Args:
            pixel: `(batch, colors)`, with zeros for colors not drawn yet.
            known: Values at this pixel that do not depend on its row, by index.
            carries: Carry of each stepped layer.
            rows: Tensors of each stepped layer's row at this pixel.
            earlier: Result of this method for a pixel that differs in its last color,
                or in all colors if they are coupled. Only instructions that this can
                change are then run again.

        Returns:
            Dict of `(batch, channels)` tensors by index of value; and the carry and
            kept tensors of each stepped layer.
        """
        values = {**(earlier[0] if earlier else {}), **known}
        states = list(earlier[1]) if earlier else []
        images = self.program.inputs[0]
        values[images.index] = tf.cast(pixel, images.spec.dtype)
        position = -1
        for step in self.pixel_steps:
            position += step.pixel is None
            if earlier is not None and id(step) not in self.fed:
                continue
            args, kwargs = step.fill(values)
            if step.pixel is not None:
                outputs = self.pointwise[id(step)](*args, **kwargs)
            else:
                outputs, *state = self._step(
                    step.operation,
                    (self.weights[id(step)], carries[position], rows[position]),
                    *step_arguments(step.operation, args, kwargs),
                )
                if earlier is None:
                    states.append(state)
                else:
                    states[position] = state
                    if _hides_pixel(step):
                        continue
            outputs = tf.nest.flatten(outputs)
            for value, output in zip(step.outputs, outputs, strict=True):
                values[value.index] = output
        return values, states

    def _step(self, layer, state, inputs, others):
        """Call a layer's `step` with its arguments in the compute dtype."""

        def cast(leaf):
            if tf.is_tensor(leaf) and leaf.dtype.is_floating:
                return tf.cast(leaf, layer.compute_dtype)
            return leaf

        inputs, others = tf.nest.map_structure(cast, (inputs, others))
        outputs, carry, kept = layer.step(*state, inputs, **others)
        return outputs, tuple(carry), tuple(kept)


def _hides_pixel(step):
    return step.pixel is None and getattr(step.operation, "mask_type", None) == "A"


def _flat(tensor):
    """Merge the axes of a row after the batch: `(width, batch, n)`."""
    if tensor.shape.rank == 3:
        return tensor
    sizes = tf.unstack(tf.shape(tensor)[:2])
    return tf.reshape(tensor, (*sizes, tensor.shape[2:].num_elements()))
