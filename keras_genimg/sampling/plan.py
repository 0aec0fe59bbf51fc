"""When each operation of a model is computed while an image is sampled."""

import dataclasses
import functools

import tensorflow as tf

from keras_genimg.model_types import PixelModel
from keras_genimg.sampling.program import Instruction, Level, Program, Value


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """The operations of a model's graph, sorted by when they are computed.

    Some do not depend on the image and are computed once, on whole maps; some depend on
    finished rows and are computed once per row; the others once per pixel, or once per
    color of a pixel. A plan has no weights and no sizes of images. It says nothing
    about the order of the pixels either: every order follows the same plan.

    Attributes:
        inputs: `Value`s of the model's inputs, the image first.
        output: `Value` of the likelihood's parameters.
        fixed_steps: The `Instruction`s that are computed once.
        steps: All others, in the order of computation.
        couples_colors: Whether the colors of a pixel are sampled together.
        dtype: Type in which results of pixels are kept, float32 or float64.
        observed: Further `Value`s that the caller wants to read at each pixel.
    """

    inputs: tuple[Value, ...]
    output: Value
    fixed_steps: tuple[Instruction, ...]
    steps: tuple[Instruction, ...]
    couples_colors: bool
    dtype: tf.DType
    observed: tuple[Value, ...] = ()

    @classmethod
    def of(cls, model: PixelModel) -> "Plan":
        """Return the plan of an `AutoregressiveModel`.

        Raises:
            ValueError: If the output of a layer depends on the image and the layer is
                neither causal nor pointwise. The error names the layer.
        """
        program = Program(model)
        steps = program.instructions
        values = [program.inputs[0], *(x for step in steps for x in step.outputs)]
        is_double = any(value.spec.dtype == "float64" for value in values)
        return cls(
            inputs=tuple(program.inputs),
            output=program.output,
            fixed_steps=tuple(step for step in steps if step.level == Level.FIXED),
            steps=tuple(step for step in steps if step.level != Level.FIXED),
            couples_colors=model.likelihood.couples_colors,
            dtype=tf.float64 if is_double else tf.float32,
        )

    @functools.cached_property
    def products(self) -> list[Instruction]:
        """The instructions that take weights, without those of causal layers."""
        return [step for step in self.steps if step.weights is not None]

    @functools.cached_property
    def row_steps(self) -> list[Instruction]:
        """The instructions that are computed once per row."""
        return [step for step in self.steps if step.level == Level.ROWS]

    @functools.cached_property
    def pixel_steps(self) -> list[Instruction]:
        """The instructions that are computed for each pixel."""
        return [step for step in self.steps if step.level == Level.PIXEL]

    @functools.cached_property
    def stepped_layers(self) -> list[Instruction]:
        """The instructions of causal layers that are computed for each pixel."""
        return [step for step in self.pixel_steps if step.pixel is None]

    @functools.cached_property
    def row_layers(self) -> list[Instruction]:
        """The instructions of causal layers that are computed once per row."""
        return [step for step in self.row_steps if step.pixel is None]

    @functools.cached_property
    def causal_layers(self) -> list[Instruction]:
        """The instructions of all causal layers, in the order of their caches."""
        return self.stepped_layers + self.row_layers

    @functools.cached_property
    def maps(self) -> list[Value]:
        """The fixed values that rows and pixels read."""
        read = [value for step in self.steps for value in step.inputs]
        read = dict.fromkeys((*read, self.output))
        return [value for value in read if value.level == Level.FIXED]

    @functools.cached_property
    def known(self) -> list[Value]:
        """The values that are known before a pixel is sampled, and read there."""
        read = [value for step in self.pixel_steps for value in step.inputs]
        read = dict.fromkeys((*read, self.output, *self.observed))
        return [value for value in read if value.level != Level.PIXEL]

    @functools.cached_property
    def row_inputs(self) -> list[Value]:
        """The values of pixels that `row_layers` read when the row is finished."""
        inputs = [step.inputs[0] for step in self.row_layers]
        return [value for value in inputs if value.level == Level.PIXEL]

    @functools.cached_property
    def fed_by_pixel(self) -> set[Instruction]:
        """The instructions that the value of the pixel itself can change.

        Behind a layer with mask A, nothing changes: its output hides the pixel. In
        color images, it hides at least the last color.
        """
        changing, fed = {self.inputs[0]}, set()
        for step in self.pixel_steps:
            if any(value in changing for value in step.inputs):
                fed.add(step)
                if not hides_pixel(step):
                    changing.update(step.outputs)
        return fed

    @functools.cached_property
    def doubled(self) -> set[Value]:
        """The values that an operation adds to themselves.

        Grappler empties the result of a loop that adds `carry + constant` to itself
        (TensorFlow 2.21), unless something stands between.
        """
        inputs = [step.inputs for step in self.pixel_steps]
        return {x for each in inputs for x in each if each.count(x) > 1}


def hides_pixel(step: Instruction) -> bool:
    """Return whether an instruction is a causal layer that hides the pixel itself."""
    return step.pixel is None and getattr(step.operation, "mask_type", None) == "A"
