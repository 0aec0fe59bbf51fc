"""The fast sampler: each pixel is evaluated once, with caches of what came before."""

import tensorflow as tf
from keras import ops

from keras_genimg.sampling.bundle import Bundle
from keras_genimg.sampling.program import Program, Value


def incremental_sampler(model, jit_compile=False):
    """Return a function that draws images for about the price of a forward pass.

    The model's graph is walked once and made into a program of two nested loops, over
    rows and over the pixels of a row. Layers that implement `CausalLayer` are stepped,
    pointwise layers are called on single pixels, and what does not depend on the image
    is computed once, in full. The images are those of the ancestral sampler.

    Args:
        model: An `AutoregressiveModel`.
        jit_compile: Whether the graph will be compiled with XLA, which lacks the fused
            kernels that are best without.

    Returns:
        A function of `uniforms` (batch, height, width, colors), a `temperature` that
        broadcasts against them, a list of conditions, and optionally `images` and
        `known`, that returns float32 images of the shape of `uniforms`.

    Raises:
        ValueError: If the image decides the output of a layer that is neither causal
            nor pointwise; the layer is named.
    """
    program = Program(model)

    def draw(uniforms, temperature, conditions, images=None, known=None):
        fused = not jit_compile
        run = _Run(program, model.likelihood, fused, uniforms, temperature, conditions)
        return run.draw(images, known)

    return draw


class _Run:
    """One drawing of a batch of images: the graph that `incremental_sampler` builds."""

    def __init__(self, program, likelihood, fused, uniforms, temperature, conditions):
        self.program = program
        self.likelihood = likelihood
        self.batch, self.height, self.width, self.colors = ops.shape(uniforms)
        # By row, then column: (height, width, batch, colors).
        self.uniforms = tf.transpose(uniforms, (1, 2, 0, 3))
        self.temperature = tf.reshape(temperature, (-1, 1))
        self.causal = [
            instruction
            for instruction in program.instructions
            if instruction.depends and instruction.pixel is None
        ]
        self.weights = [step.operation.prepare(fused) for step in self.causal]
        self.pointwise = {
            number: instruction.pixel()
            for number, instruction in enumerate(program.instructions)
            if instruction.pixel is not None
        }
        self.fixed = self._image_independent(conditions)
        self.maps = self._maps()
        self.direct = self._fed_by_pixel()

    def _image_independent(self, conditions):
        """Return the values that the image does not decide, computed in full."""
        values = {
            value.index: tensor
            for value, tensor in zip(self.program.inputs[1:], conditions, strict=True)
        }
        for instruction in self.program.instructions:
            if not instruction.depends:
                args, kwargs = _fill(instruction, values)
                outputs = tf.nest.flatten(instruction.operation(*args, **kwargs))
                for value, output in zip(instruction.outputs, outputs, strict=True):
                    values[value.index] = output
        return values

    def _maps(self):
        """Return the maps that pixels meet, by row, then column."""
        maps = {}
        for instruction in self.program.instructions:
            for value in instruction.inputs if instruction.depends else ():
                if value.depends or value.index in maps:
                    continue
                tensor = self.fixed[value.index]
                if len(tensor.shape) < 4:
                    raise ValueError(
                        f"{type(instruction.operation).__name__} "
                        f"'{instruction.operation.name}' combines the image with a "
                        f"tensor of shape {tensor.shape}, which has no height and "
                        f"width. Give it the shape (batch, 1, 1, channels)."
                    )
                rest = tensor.shape[3:]
                shape = (self.batch, self.height, self.width, *rest)
                tensor = tf.broadcast_to(tensor, shape)
                tensor = tf.transpose(tensor, (1, 2, 0, *range(3, len(shape))))
                shape = (self.height, self.width, self.batch, rest.num_elements())
                maps[value.index] = (tf.reshape(tensor, shape), rest)
        return maps

    def _fed_by_pixel(self):
        """Return which instructions see the pixel with no causal layer between."""
        direct = {self.program.inputs[0].index}
        fed = set()
        for position, instruction in enumerate(self.program.instructions):
            if any(value.index in direct for value in instruction.inputs):
                fed.add(position)
                if instruction.pixel is not None:
                    direct.update(value.index for value in instruction.outputs)
        return fed

    def draw(self, images, known):
        """Draw all rows; return the images, `(batch, height, width, colors)`."""
        caches = tuple(
            step.operation.initial_cache(
                weights, self.batch, self.width, step.inputs[0].spec.shape[-1]
            )
            for step, weights in zip(self.causal, self.weights, strict=True)
        )
        given = []
        if known is not None:
            known = tf.cast(tf.broadcast_to(known, tf.shape(images)), tf.float32)
            given = [tf.transpose(t, (1, 2, 0, 3)) for t in (images, known)]
        rows = tf.TensorArray(
            tf.float32, size=self.height, element_shape=self.uniforms.shape[1:]
        )

        def draw_row(r, caches, rows):
            started = [
                step.operation.begin_row(weights, cache)
                for step, weights, cache in zip(
                    self.causal, self.weights, caches, strict=True
                )
            ]
            carries = tuple(tuple(carry) for carry, _ in started)
            groups = [
                [self.uniforms[r], *(tensor[r] for tensor in given)],
                [tensor[r] for tensor, _ in self.maps.values()],
                *(row for _, row in started),
            ]
            row, kept = self._draw_pixels(Bundle(groups), carries)
            return r + 1, self._end_row(caches, kept), rows.write(r, row)

        *_, rows = tf.while_loop(
            lambda r, *_: r < self.height,
            draw_row,
            (tf.constant(0), caches, rows),
            maximum_iterations=self.height,
        )
        return tf.transpose(rows.stack(), (2, 0, 1, 3))

    def _end_row(self, caches, kept):
        """Return the caches for the next row."""
        after = list(caches)
        kinds = [type(step.operation) for step in self.causal]
        for kind in dict.fromkeys(kinds):
            members = [number for number, other in enumerate(kinds) if other is kind]
            ended = kind.end_rows(
                [self.causal[number].operation for number in members],
                *(
                    [group[n] for n in members]
                    for group in (self.weights, caches, kept)
                ),
            )
            for number, cache in zip(members, ended, strict=True):
                after[number] = _like(cache, caches[number])
        return tuple(after)

    def _draw_pixels(self, bundle, carries):
        """Draw one row; return it and what the layers keep of it, by column."""
        finished = tf.TensorArray(
            bundle.packed.dtype, size=self.width, element_shape=(None, None)
        )
        layout = {}

        def draw_pixel(c, carries, finished):
            (uniforms, *given), maps, *rows = bundle.unpack(bundle.packed[c])
            maps = {
                index: tf.reshape(tensor, (-1, *rest))
                for (index, (_, rest)), tensor in zip(
                    self.maps.items(), maps, strict=True
                )
            }
            pixel, after, kept = self._draw_pixel(maps, carries, rows, uniforms, given)
            layout["pixel"] = packed = Bundle([[pixel], *kept])
            carries = tuple(
                _like(new, old) for new, old in zip(after, carries, strict=True)
            )
            return c + 1, carries, finished.write(c, packed.packed)

        *_, finished = tf.while_loop(
            lambda c, *_: c < self.width,
            draw_pixel,
            (tf.constant(0), carries, finished),
            maximum_iterations=self.width,
        )
        finished = finished.stack()
        finished.set_shape((*bundle.packed.shape[:2], layout["pixel"].size))
        (row,), *kept = layout["pixel"].unpack(finished)
        return row, kept

    def _draw_pixel(self, maps, carries, rows, uniforms, given):
        """Draw one pixel, colour by colour.

        Returns:
            The pixel, `(batch, colors)`, and for each causal layer its carry and what
            it keeps.
        """
        pixel = tf.zeros_like(uniforms)
        for color in range(self.colors):
            values, states = self._evaluate(pixel, maps, carries, rows)
            here = slice(color, color + 1)
            params = values[self.program.output.index][:, here]
            drawn = self.likelihood.sample(params, uniforms[:, here], self.temperature)
            if given:
                images, known = given
                drawn = tf.where(known[:, here] > 0, images[:, here], drawn)
            if self.colors == 1:
                pixel = drawn
            else:
                rest = tf.zeros_like(pixel[:, color + 1 :])
                pixel = tf.concat([pixel[:, :color], drawn, rest], axis=-1)
        # What reads the pixel itself takes its last colour now.
        _, states = self._evaluate(pixel, maps, carries, rows, (values, states))
        return pixel, [carry for carry, _ in states], [kept for _, kept in states]

    def _evaluate(self, pixel, maps, carries, rows, earlier=None):
        """Run the program on one pixel.

        Args:
            pixel: `(batch, colors)`, zero where not drawn yet.
            maps: What the image does not decide, at this pixel, by value index.
            carries: Carry of each causal layer.
            rows: What each causal layer's row holds for this pixel.
            earlier: What this method returned for a pixel that differs in its last
                colour. Only what sees the pixel directly is then run again.

        Returns:
            Dict of `(batch, channels)` tensors by value index; and for each causal
            layer its carry and what it keeps.
        """
        values = {**(earlier[0] if earlier else {}), **maps}
        states = list(earlier[1]) if earlier else []
        values[self.program.inputs[0].index] = pixel
        position = 0
        for number, instruction in enumerate(self.program.instructions):
            if not instruction.depends:
                continue
            again = earlier is None or number in self.direct
            args, kwargs = _fill(instruction, values)
            if instruction.pixel is not None:
                if again:
                    output = self.pointwise[number](*args, **kwargs)
                    values[instruction.outputs[0].index] = output
                continue
            if again:
                layer = instruction.operation
                arguments = [
                    tf.cast(tensor, layer.compute_dtype)
                    for tensor in tf.nest.flatten((args, kwargs))
                    if tf.is_tensor(tensor)
                ]
                output, carry, kept = layer.step(
                    self.weights[position],
                    carries[position],
                    rows[position],
                    *arguments,
                )
                if earlier is None:
                    values[instruction.outputs[0].index] = output
                    states.append((carry, kept))
                else:
                    states[position] = (carry, kept)
            position += 1
        return values, states


def _fill(instruction, values):
    """Return an instruction's arguments with tensors in place of `Value`s."""
    return tf.nest.map_structure(
        lambda leaf: values[leaf.index] if isinstance(leaf, Value) else leaf,
        (instruction.args, instruction.kwargs),
    )


def _like(tensors, templates):
    """Return a tuple of tensors with the static shapes of a loop's variables."""
    for tensor, template in zip(tensors, templates, strict=True):
        tensor.set_shape(template.shape)
    return tuple(tensors)
