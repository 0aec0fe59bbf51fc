"""The tensors of a plan in one call, and what they compute of rows and pixels."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import tensorflow as tf
from keras import ops

from keras_genimg.layers.causal_layer import CausalLayer
from keras_genimg.ops.convolution import for_batch
from keras_genimg.sampling.formulas import tensors_of
from keras_genimg.sampling.packing import Stacks, tensors_in
from keras_genimg.sampling.plan import Plan, hides_pixel
from keras_genimg.sampling.pointwise import autocast
from keras_genimg.sampling.program import (
    Instruction,
    Value,
    on_maps,
    step_arguments,
)
from keras_genimg.types import TensorLike, Tensors


class Place(NamedTuple):
    """What is known of a pixel before it is sampled.

    The tensors are `(batch, n)`. Those of all pixels of a row are `(width, batch, n)`.

    Attributes:
        known: Tensors of `Plan.known`, in order.
        carries: The carry of each stepped layer, from the pixel to the left.
        of_layers: The tensors of `CausalLayer.begin_row`, for each stepped layer.
    """

    known: list[tf.Tensor]
    carries: tuple[Tensors, ...]
    of_layers: list[Tensors]


class Row(NamedTuple):
    """What is known of a row before its pixels are sampled.

    Attributes:
        values: Dict of `(width, batch, n)` tensors by `Value`, fixed or of finished
            rows.
        place: A `Place` with the tensors of all pixels and the carries of the first.
    """

    values: dict[Value, tf.Tensor]
    place: Place


class Evaluated(NamedTuple):
    """The results of one run of the plan's instructions for pixels.

    Attributes:
        values: Dict of `(batch, channels)` tensors by `Value`.
        states: The carry, and the tensors kept for `CausalLayer.end_row`, of each
            stepped layer.
    """

    values: dict[Value, Any]
    states: list[tuple[Tensors, Tensors]]


class Sampled(NamedTuple):
    """A sampled pixel, or the sampled pixels of a row as a batch.

    Attributes:
        pixel: `(batch, colors)`.
        params: The parameters of each color; with coupled colors, those of the pixel.
        evaluated: All else that was computed, an `Evaluated`.
    """

    pixel: tf.Tensor
    params: list[tf.Tensor]
    evaluated: Evaluated

    @property
    def carries(self) -> tuple[Tensors, ...]:
        """The carry of each stepped layer, for the pixel to the right."""
        return tuple(carry for carry, _ in self.evaluated.states)

    @property
    def kept(self) -> list[Tensors]:
        """The tensors that each stepped layer keeps for the end of the row."""
        return [kept for _, kept in self.evaluated.states]


@dataclasses.dataclass(frozen=True, eq=False)
class PlanValues:
    """The tensors of a plan in one call, for images of one size.

    A loop whose body needs other tensors, such as stacked weights, gets other values by
    `dataclasses.replace`.

    Attributes:
        plan: The `Plan`.
        fused: Whether TensorFlow's fused kernels may be used, which XLA lacks.
        height: Height of the images, an integer or a scalar tensor.
        width: Width of the images, an integer or a scalar tensor.
        batch: Size of the batch, an integer or a scalar tensor.
        colors: Number of colors.
        weights: Dict of prepared weights by `Instruction`, of products and of causal
            layers.
        maps: Dict of fixed tensors by `Value`, `(height, width, batch, n)`.
    """

    plan: Plan
    fused: bool
    height: Any
    width: Any
    batch: Any
    colors: int
    weights: dict[Instruction, Any]
    maps: dict[Value, tf.Tensor]

    @classmethod
    def of(
        cls,
        plan: Plan,
        template: TensorLike,
        conditions: Sequence[TensorLike],
        fused: bool,
    ) -> "PlanValues":
        """Prepare the weights of a plan, and compute what is fixed.

        Args:
            plan: A `Plan`.
            template: Tensor of the shape `(height, width, batch, colors)`.
            conditions: The model's inputs besides the images, in order.
            fused: See `PlanValues`.
        """
        height, width, batch, colors = ops.shape(template)
        all_weights = [step.weights for step in plan.products]
        of_products = tensors_of(each for each in all_weights if each is not None)
        weights: dict[Instruction, Any] = dict(
            zip(plan.products, of_products, strict=True)
        )
        weights |= {step: step.operation.prepare(fused) for step in plan.causal_layers}
        given = dict(zip(plan.inputs[1:], conditions, strict=True))
        fixed, maps = on_maps(plan.fixed_steps, given), {}
        # A loop visits one place of all images at a time, so rows and columns come
        # before the batch.
        for value in plan.maps:
            tensor = merged(fixed[value], 3)
            tensor = tf.broadcast_to(tensor, (batch, height, width, tensor.shape[-1]))
            maps[value] = tf.transpose(tensor, (1, 2, 0, 3))
        return cls(plan, fused, height, width, batch, colors, weights, maps)

    @property
    def static_sizes(self) -> tuple[int | None, ...]:
        """Width and batch as far as they are known without running the graph."""
        sizes = self.width, self.batch
        return tuple(size if isinstance(size, int) else None for size in sizes)

    def for_loop(self, num_pixels: Any) -> "LoopValues":
        """Return these values for the body of a loop, see `LoopValues`.

        Args:
            num_pixels: Number of pixels that the body evaluates at once.
        """
        if not self.fused:
            return LoopValues(self, [], Stacks([]))
        stacked = {
            step: self.weights[step]
            for step in self.plan.causal_layers
            # A layer of a user may prepare tensors of unknown shapes.
            if all(x.shape.is_fully_defined() for x in tensors_in(self.weights[step]))
        }
        for step in self.plan.products:
            stacked[step] = for_batch(self.weights[step], num_pixels)
        return LoopValues(self, list(stacked), Stacks(list(stacked.values())))

    # Rows.

    def initial_caches(self) -> tuple[Tensors, ...]:
        """Return the cache of each causal layer before the first row."""
        return tuple(
            step.operation.initial_cache(
                self.weights[step],
                self.batch,
                self.width,
                step.inputs[0].spec.shape[-1],
            )
            for step in self.plan.causal_layers
        )

    def begin_row(self, row: tf.Tensor, caches: Sequence[Tensors]) -> Row:
        """Compute everything that depends only on finished rows.

        Args:
            row: Index of the row.
            caches: Cache of each causal layer.

        Returns:
            A `Row`.
        """
        values = {value: tensor[row] for value, tensor in self.maps.items()}
        cache_of = dict(zip(self.plan.causal_layers, caches, strict=True))
        begun = [
            step.operation.begin_row(self.weights[step], cache_of[step])
            for step in self.plan.stepped_layers
        ]
        for step in self.plan.row_steps:
            if step.pixel is not None:
                outputs = self._over_row(step, values)
            else:
                arguments = [self.weights[step], cache_of[step]]
                if step.operation.sees_whole_row:
                    inputs = values[step.inputs[0]]
                    arguments.append(tf.cast(inputs, step.operation.compute_dtype))
                _, outputs = step.operation.begin_row(*arguments)
            values.update(zip(step.outputs, outputs, strict=True))
        place = Place(
            known=[merged(values[value], 2) for value in self.plan.known],
            carries=tuple(tuple(carry) for carry, _ in begun),
            of_layers=[of_layer for _, of_layer in begun],
        )
        return Row(values, place)

    def _over_row(
        self, step: Instruction, values: Mapping[Value, Any]
    ) -> list[tf.Tensor]:
        """Apply a pointwise operation to a row, `(width, batch, ...)`."""
        flat = {
            value: tf.reshape(values[value], (-1, *value.spec.shape[3:]))
            for value in step.inputs
        }
        args, kwargs = step.fill(flat)
        outputs = tf.nest.flatten(self._pointwise(step, args, kwargs))
        sizes = (self.width, self.batch)
        return [tf.reshape(x, (*sizes, *x.shape[1:])) for x in outputs]

    def end_row(
        self,
        caches: Sequence[Tensors],
        values: Mapping[Value, Any],
        kept: Sequence[Sequence[tf.Tensor]],
    ) -> tuple[Tensors, ...]:
        """Return the caches for the next row.

        Args:
            caches: Cache of each causal layer.
            values: Dict of `(width, batch, n)` tensors by `Value`: those of the `Row`,
                and of `Plan.row_inputs`.
            kept: What each stepped layer kept, lists of `(width, batch, n)` tensors.
        """
        rows = [
            [tf.cast(values[step.inputs[0]], step.operation.compute_dtype)]
            for step in self.plan.row_layers
        ]
        kept = [*kept, *rows]
        after = list(caches)
        layers = self.plan.causal_layers
        weights = [self.weights[step] for step in layers]
        kinds = [type(step.operation) for step in layers]
        # A class may end the rows of all its layers at once, which takes fewer
        # operations.
        for kind in dict.fromkeys(kinds):
            members = [number for number, other in enumerate(kinds) if other is kind]
            ended = kind.end_rows(
                [layers[number].operation for number in members],
                *([group[n] for n in members] for group in (weights, caches, kept)),
            )
            for number, cache in zip(members, ended, strict=True):
                after[number] = tuple(cache)
        return tuple(after)

    # Pixels.

    def sample_pixel(
        self, choose: Callable[..., tf.Tensor], given: Sequence[tf.Tensor], place: Place
    ) -> Sampled:
        """Sample one pixel, color by color or all colors together.

        Args:
            choose: `Choice.choose`.
            given: Tensors of `Choice.given` at this pixel, `(batch, n)`.
            place: The `Place` of the pixel.

        Returns:
            A `Sampled`.
        """
        couples_colors = self.plan.couples_colors
        pixel, params, evaluated = tf.zeros((self.batch, self.colors)), [], None
        # Green may depend on red, and blue on both, so the plan runs once per color,
        # unless the likelihood samples all colors from one set of parameters.
        for color in range(1 if couples_colors else self.colors):
            evaluated = self._evaluate(pixel, place)
            params.append(evaluated.values[self.plan.output])
            here = slice(None)
            if not couples_colors:
                here = slice(color, color + 1)
                params[-1] = params[-1][:, here]
            sampled = choose(params[-1], here, *given)
            if couples_colors or self.colors == 1:
                pixel = sampled
                pixel.set_shape((None, self.colors))
            else:
                rest = tf.zeros_like(pixel[:, color + 1 :])
                pixel = tf.concat([pixel[:, :color], sampled, rest], axis=-1)
        # The caches need features of the whole pixel, so the layers that read the pixel
        # run again with its last color.
        return Sampled(pixel, params, self._evaluate(pixel, place, earlier=evaluated))

    def sample_row(
        self,
        choose: Callable[..., tf.Tensor],
        given: Sequence[tf.Tensor],
        pixels: tf.Tensor,
        place: Place,
    ) -> Sampled:
        """Sample all pixels of a row at once, as they are if the row is as given.

        Only for models whose colors are sampled together, and whose layers all have a
        `CausalLayer.step_row`.

        Args:
            choose: `Choice.choose`.
            given: Tensors of `Choice.given` of this row, `(width, batch, n)`.
            pixels: The row as it may be, `(width, batch, colors)`.
            place: The `Place` of the row.

        Returns:
            A `Sampled`. Its tensors are `(width * batch, n)`.
        """
        flat = place._replace(known=[_as_batch(tensor) for tensor in place.known])
        evaluated = self._evaluate(_as_batch(pixels), flat, step_layer=self._step_row)
        params = evaluated.values[self.plan.output]
        sampled = choose(params, slice(None), *(_as_batch(tensor) for tensor in given))
        return Sampled(sampled, [params], evaluated)

    def _evaluate(
        self,
        pixel: tf.Tensor,
        place: Place,
        earlier: Evaluated | None = None,
        step_layer: Callable[..., Any] | None = None,
    ) -> Evaluated:
        """Run the plan on one pixel, or on all pixels of a row.

        Args:
            pixel: `(batch, colors)`, with zeros for colors not sampled yet. Pixels of a
                row are `(width * batch, colors)`.
            place: The `Place` of the pixel or of the row.
            earlier: The `Evaluated` of a pixel that differs in its last color, or in
                all colors if they are coupled. Only instructions that this can change
                are then run again.
            step_layer: `_step_row` for a row; `_step` by default.

        Returns:
            An `Evaluated`.
        """
        plan = self.plan
        values: dict[Value, Any] = {} if earlier is None else dict(earlier.values)
        states: list[Any] = [()] * len(plan.stepped_layers)
        if earlier is not None:
            states = list(earlier.states)
        for value, tensor in zip(plan.known, place.known, strict=True):
            values[value] = tf.reshape(tensor, (-1, *value.spec.shape[3:]))
        images = plan.inputs[0]
        values[images] = tf.cast(pixel, images.spec.dtype)
        # Carries are in the order of the causal layers, which have no function of one
        # pixel. `position` counts them.
        position = -1
        for step in plan.pixel_steps:
            position += step.pixel is None
            if earlier is not None and step not in plan.fed_by_pixel:
                continue
            args, kwargs = step.fill(values)
            if step.pixel is not None:
                outputs = self._pointwise(step, args, kwargs)
            else:
                state = place.carries[position], place.of_layers[position]
                outputs, *states[position] = (step_layer or self._step)(
                    step.operation,
                    (self.weights[step], *state),
                    *step_arguments(step.operation, args, kwargs),
                )
                # The output of such a layer hides the pixel, so it is still right. Only
                # the state of the layer has changed.
                if earlier is not None and hides_pixel(step):
                    continue
            outputs = tf.nest.flatten(outputs)
            for value, output in zip(step.outputs, outputs, strict=True):
                if value in plan.doubled:
                    output = tf.ensure_shape(output, output.shape)
                values[value] = output
        return Evaluated(values, states)

    def _pointwise(self, step: Instruction, args: Any, kwargs: Any) -> Any:
        """Return the outputs of a pointwise instruction."""
        prepared = [] if step.weights is None else [self.weights[step]]
        function = cast("Callable[..., Any]", step.pixel)
        return function(*prepared, *args, **kwargs)

    def _step(
        self,
        layer: CausalLayer,
        state: tuple[Any, Tensors, Tensors],
        inputs: Any,
        others: dict[str, Any],
    ) -> tuple[Any, Tensors, Tensors]:
        """Call a layer's `step` with its arguments in the compute dtype."""
        inputs, others = autocast(layer, (inputs, others))
        outputs, carry, kept = layer.step(*state, inputs, **others)
        return outputs, tuple(carry), tuple(kept)

    def _step_row(
        self,
        layer: CausalLayer,
        state: tuple[Any, Tensors, Tensors],
        inputs: Any,
        others: dict[str, Any],
    ) -> tuple[Any, Tensors, Tensors]:
        """Call a layer's `step_row`; return outputs and kept of all pixels."""
        _, carry, row = state
        if not row and not any(each.shape[-1] for each in carry):
            # The layer acts on single pixels.
            return self._step(layer, state, inputs, others)

        def wide(leaf: Any) -> Any:
            if not tf.is_tensor(leaf):
                return leaf
            return tf.reshape(leaf, (self.width, -1, leaf.shape[-1]))

        inputs, others = tf.nest.map_structure(wide, autocast(layer, (inputs, others)))
        found = layer.step_row(*state, inputs, **others)
        outputs, kept = tf.nest.map_structure(_as_batch, found)
        return outputs, (), kept


@dataclasses.dataclass(frozen=True, eq=False)
class LoopValues:
    """Values of a plan whose weights a loop reads as few tensors, see `Stacks`.

    The stacks are made outside of the loop, and of branches that contain it. `in_body`
    takes them apart again.

    Attributes:
        values: The `PlanValues`.
        steps: The instructions whose weights are stacked.
        stacks: The `Stacks` of a list of their weights. `tf.nest` would sort a dict by
            its keys, which are not comparable.
    """

    values: PlanValues
    steps: list[Instruction]
    stacks: Stacks

    def in_body(self) -> PlanValues:
        """Return the `PlanValues` for the body of the loop."""
        parts = dict(zip(self.steps, self.stacks.parts(), strict=True))
        weights = {**self.values.weights, **parts}
        return dataclasses.replace(self.values, weights=weights)


def with_shapes_of(tensors: Any, templates: Any) -> Any:
    """Return tensors with the static shapes of a loop's variables."""

    def with_shape(tensor: tf.Tensor, template: tf.Tensor) -> tf.Tensor:
        tensor.set_shape(template.shape)
        return tensor

    return tf.nest.map_structure(with_shape, tensors, templates)


def merged(tensor: tf.Tensor, num_axes: int) -> tf.Tensor:
    """Return a tensor whose axes after the first `num_axes` are merged into one."""
    if tensor.shape.rank == num_axes + 1:
        return tensor
    sizes = tf.unstack(tf.shape(tensor)[:num_axes])
    return tf.reshape(tensor, (*sizes, tensor.shape[num_axes:].num_elements()))


def _as_batch(row: tf.Tensor) -> tf.Tensor:
    """Return a row `(width, batch, n)` as a batch of pixels."""
    return tf.reshape(row, (-1, row.shape[-1]))
