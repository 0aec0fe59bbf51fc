"""A functional model compiled to a program for one pixel."""

import dataclasses
import enum
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_genimg.keras_private import (
    autocast_scope,
    operation_classes,
    run_graph,
    runs_its_graph,
)
from keras_genimg.layers.causal_layer import CausalLayer, is_stepped
from keras_genimg.model_types import FunctionalModel
from keras_genimg.sampling.formulas import AffineWeights
from keras_genimg.sampling.pointwise import (
    ELEMENTWISE,
    Linear,
    is_linear,
    pointwise_function,
)

_ADVICE = {
    layers.Conv2D: "use MaskedConv2D instead",
    layers.DepthwiseConv2D: "use MaskedConv2D instead",
    layers.SeparableConv2D: "use MaskedConv2D instead",
    layers.BatchNormalization: "call it with training=False, or use "
    "LayerNormalization(axis=-1)",
    layers.Flatten: "keep the map's axes",
    layers.Reshape: "keep the map's axes",
    **dict.fromkeys(operation_classes(["Reshape"]), "keep the map's axes"),
}
_CONVERSIONS = operation_classes(["ConvertToTensor"])


class Level(enum.IntEnum):
    """The part of an image that must be known before a value can be computed.

    The level of an operation's outputs is the highest level of its inputs, except for
    causal layers that see only finished rows.
    """

    # It depends on nothing of the image and is computed once.
    FIXED = 0
    # It depends on the rows above and is computed once per row, for all columns.
    ROWS = 1
    # It depends on pixels of the same row and is computed for each pixel.
    PIXEL = 2


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the graph: its `Level` and its `keras.KerasTensor`."""

    level: Level
    spec: keras.KerasTensor


@dataclasses.dataclass(frozen=True, eq=False)
class Instruction:
    """One operation of the graph. It is a key of dicts, such as that of its weights.

    Attributes:
        operation: The Keras layer or operation, or a function that makes a constant.
        args: Its positional arguments, with `Value`s instead of symbolic tensors.
        kwargs: Its keyword arguments.
        outputs: List of the `Value`s it computes, in the order of its flat output.
        pixel: Result of `pointwise_function`, for a pointwise operation above level
            `FIXED`. None for a causal layer.
        weights: `AffineWeights` of the first argument of `pixel`, if it takes weights.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Value]
    pixel: Callable[..., Any] | None = None
    weights: AffineWeights | None = None

    @property
    def level(self) -> Level:
        """Level of its outputs."""
        return self.outputs[0].level

    @property
    def inputs(self) -> list[Value]:
        """The `Value`s among the arguments."""
        return _values_in((self.args, self.kwargs))

    def fill(self, tensors: Mapping[Value, Any]) -> Any:
        """Return the arguments with tensors instead of `Value`s.

        Args:
            tensors: Dict of tensors by `Value`.
        """
        return tf.nest.map_structure(
            lambda leaf: tensors[leaf] if isinstance(leaf, Value) else leaf,
            (self.args, self.kwargs),
        )


class Program:
    """The operations of a functional model, in order.

    Composite layers are inlined if their `call` can be traced symbolically, such as the
    residual blocks and nested models. A layer that is called twice gives two
    instructions.

    A program has no tensors but those that composite layers pass to operations, such as
    their own weights. If it is built inside a `tf.function`, these belong to its graph.

    Args:
        model: A functional Keras model whose first input is the image.

    Attributes:
        inputs: `Value`s of the model's inputs, the image first.
        output: `Value` of the likelihood's parameters.
        instructions: List of `Instruction`, in the order of computation.

    Raises:
        ValueError: If a layer above level `FIXED` is neither causal nor pointwise. The
            error names the layer.
    """

    def __init__(self, model: FunctionalModel):
        self.instructions = []
        self.inputs = [
            Value(Level.FIXED if position else Level.PIXEL, spec)
            for position, spec in enumerate(model.inputs)
        ]
        if not runs_its_graph(model):
            raise refusal(model, reason="computes more than its graph")
        (self.output,) = _values_in(self._inline(model, self.inputs))

    def _inline(
        self, model: FunctionalModel, values: list[Value], dtype: str | None = None
    ) -> Any:
        """Append the operations of a functional model; return its outputs' structure.

        Args:
            model: A functional model.
            values: Its inputs, in order.
            dtype: Compute dtype of the layer whose `call` the model traces, if it does.
        """

        def spec_of(leaf: Any) -> Any:
            if not isinstance(leaf, Value):
                return leaf
            # Keras says that the product of a tensor and a number is sparse.
            return keras.KerasTensor(leaf.spec.shape, leaf.spec.dtype)

        def call(operation: keras.Operation, /, *args: Any, **kwargs: Any) -> Any:
            given, named = keras.tree.map_structure(spec_of, (args, kwargs))
            with autocast_scope(operation):
                specs = operation.compute_output_spec(*given, **named)
            if dtype is not None:
                read = functools.partial(_read, dtype)
                args, kwargs = tf.nest.map_structure(read, (args, kwargs))
            return tf.nest.flatten(self._append(operation, args, kwargs, specs))

        return walk(model, values, call)

    def _append(
        self, operation: keras.Operation, args: Any, kwargs: Any, specs: Any
    ) -> Any:
        """Append an operation; return its output values, flat or in a structure."""
        inputs = _values_in((args, kwargs))
        level = max((value.level for value in inputs), default=Level.FIXED)
        if level != Level.FIXED:
            # Constants of fewer axes than a map broadcast against its last ones.
            is_map = {len(value.spec.shape) for value in inputs} == {4}
            broadcasts = is_map and type(operation) in ELEMENTWISE
            args, kwargs = tf.nest.map_structure(
                lambda leaf: self._lift(leaf, 2 if broadcasts else 4), (args, kwargs)
            )
        # Some calls pass `training` by position.
        if _bound_arguments(operation, args, kwargs).get("training"):
            reason = "is called with training=True, which the sampler cannot repeat"
            error = refusal(operation, args, kwargs, reason)
            # Statistics of the batch or noise are what `training=True` adds.
            error.depends_on_batch = True
            raise error
        if level == Level.FIXED:
            return self._instruction(operation, args, kwargs, specs, level)
        if type(operation) in _CONVERSIONS:
            # An inner model casts its inputs by this operation.
            return [self._cast(value, specs.dtype) for value in inputs]
        # A single product takes fewer operations per pixel than a causal layer.
        causal = (
            isinstance(operation, CausalLayer)
            and not getattr(operation, "pointwise", False)
            and not is_linear(operation)
        )
        if causal or not is_composite(operation):
            _check_maps(operation, inputs)
        if causal:
            level = _causal_level(operation, args, kwargs, level)
            return self._instruction(operation, args, kwargs, specs, level)
        pixel = pointwise_function(operation, args, kwargs)
        if pixel is not None:
            return self._instruction(operation, args, kwargs, specs, level, pixel)
        if not is_composite(operation):
            raise refusal(operation, args, kwargs)
        return self._append_composite(operation, args, kwargs)

    def _instruction(
        self,
        operation: Any,
        args: Any,
        kwargs: Any,
        specs: Any,
        level: Level,
        pixel: Callable[..., Any] | None = None,
    ) -> list[Value]:
        outputs = [Value(level, spec) for spec in keras.tree.flatten(specs)]
        weights = pixel.weights_of(operation) if isinstance(pixel, Linear) else None
        self.instructions.append(
            Instruction(operation, args, kwargs, outputs, pixel, weights)
        )
        return outputs

    def _cast(self, value: Value, dtype: str) -> Value:
        if value.spec.dtype == dtype:
            return value
        spec = input_like(value.spec)
        cast = keras.Model(spec, keras.ops.cast(spec, dtype))
        return self._inline(cast, [value])

    def _append_composite(self, layer: keras.Layer, args: Any, kwargs: Any) -> Any:
        """Append the operations in the `call` of a composite layer."""
        autocast = getattr(layer, "autocast", True) and not runs_its_graph(layer)
        values = [
            self._cast(value, layer.compute_dtype)
            if autocast and "float" in value.spec.dtype
            else value
            for value in _values_in((args, kwargs))
        ]
        specs = [input_like(value.spec) for value in values]
        in_order = iter(specs)
        args, kwargs = tf.nest.map_structure(
            lambda leaf: next(in_order) if isinstance(leaf, Value) else leaf,
            (args, kwargs),
        )
        try:
            with autocast_scope(layer):
                graph = keras.Model(specs, layer.call(*args, **kwargs))
        except Exception as error:  # Custom code can raise anything.
            reason = "cannot be traced, since its call fails on symbolic tensors"
            raise refusal(layer, args, kwargs, reason) from error
        try:
            return self._inline(graph, values, layer.compute_dtype)
        except Refusal as error:
            if runs_its_graph(layer):
                raise
            reason = f"is made of layers that cannot all be sampled ({error})"
            refused = refusal(layer, args, kwargs, reason)
            refused.depends_on_batch = error.depends_on_batch
            raise refused from error

    def _lift(self, leaf: Any, fewest_axes: int) -> Any:
        """Return a `Value` for a constant map, and other leaves as they are."""
        rank = len(getattr(leaf, "shape", ()))
        if isinstance(leaf, Value) or not fewest_axes <= rank <= 4:
            return leaf
        shape = (1,) * (4 - rank) + tuple(leaf.shape)
        spec = keras.KerasTensor(shape, getattr(leaf, "dtype", "float32"))

        def constant() -> tf.Tensor:
            return tf.reshape(tf.convert_to_tensor(leaf), shape)

        return self._instruction(constant, (), {}, spec, Level.FIXED)[0]


def _read(dtype: str, leaf: Any) -> Any:
    """Return the tensor of a variable, as a layer reads it; other leaves as they are.

    Args:
        dtype: Compute dtype of the layer.
        leaf: An argument of an operation.
    """
    if not isinstance(leaf, keras.Variable):
        return leaf
    tensor = tf.convert_to_tensor(leaf)
    return tf.cast(tensor, dtype) if tensor.dtype.is_floating else tensor


def on_maps(
    steps: Iterable[Instruction], values: Mapping[Value, Any]
) -> dict[Value, Any]:
    """Return values by `Value` with those that instructions compute on whole maps.

    Args:
        steps: List of `Instruction`, in the order of computation.
        values: Dict of tensors by `Value`, those of the model's inputs.
    """
    values = dict(values)
    for step in steps:
        args, kwargs = step.fill(values)
        outputs = tf.nest.flatten(step.operation(*args, **kwargs))
        values.update(zip(step.outputs, outputs, strict=True))
    return values


def step_arguments(
    layer: CausalLayer, args: Any, kwargs: Any
) -> tuple[Any, dict[str, Any]]:
    """Return the inputs for the `step` of a causal layer, and other arguments by name.

    Args:
        layer: A `CausalLayer`.
        args: Positional arguments of its `call`.
        kwargs: Keyword arguments of its `call`.
    """
    (_, inputs), *others = _bound_arguments(layer, args, kwargs).items()
    others = dict(others)
    for name in ("training", "mask"):
        if others.get(name) is None or others.get(name) is False:
            others.pop(name, None)
    return inputs, others


def _causal_level(layer: CausalLayer, args: Any, kwargs: Any, level: Level) -> Level:
    """Return the level of a causal layer's outputs.

    Args:
        layer: A `CausalLayer`.
        args: Positional arguments of its `call`.
        kwargs: Keyword arguments of its `call`.
        level: Highest level of its inputs.

    Raises:
        ValueError: If its `step` does not take the arguments, or the layer sees whole
            rows of an input that depends on pixels of the same row.
    """
    inputs, others = step_arguments(layer, args, kwargs)
    try:
        inspect.signature(layer.step).bind((), (), (), inputs, **others)
    except TypeError as error:
        reason = f"is called with arguments that its `step` does not take ({error})"
        raise refusal(layer, args, kwargs, reason) from error
    if layer.sees_whole_row and level == Level.PIXEL:
        reason = "sees pixels to its right, so its input must depend only on rows above"
        raise refusal(layer, args, kwargs, reason)
    return Level.PIXEL if is_stepped(layer) else Level.ROWS


def _check_maps(operation: keras.Operation, inputs: list[Value]) -> None:
    """Raise an error unless all values combined with the image are maps."""
    for value in inputs:
        if value.level == Level.FIXED and len(value.spec.shape) < 4:
            raise Refusal(
                f"{type(operation).__name__} '{operation.name}' combines the image "
                f"with a tensor of shape {value.spec.shape}, which has no height "
                f"and width. Give it the shape (batch, 1, 1, channels)."
            )


def _bound_arguments(
    operation: keras.Operation, args: Any, kwargs: Any
) -> dict[str, Any]:
    """Return the arguments of an operation's `call` by name."""
    signature = inspect.signature(operation.call)
    arguments = dict(signature.bind(*args, **kwargs).arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind == inspect.Parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(name, {}))
    return arguments


def _values_in(structure: Any) -> list[Value]:
    """Return the `Value`s in a structure of arguments, in order."""
    leaves = tf.nest.flatten(structure)
    return [leaf for leaf in leaves if isinstance(leaf, Value)]


def walk(
    model: FunctionalModel, values: Sequence[Any], call: Callable[..., list[Any]]
) -> Any:
    """Visit the operations of a functional model in the order of computation.

    Args:
        model: A functional model. Inner models and layers are visited as one operation.
        values: Values of its inputs, in the order of `model.inputs`.
        call: Function of an operation, and of the arguments of its call in the graph,
            with values instead of tensors. It returns the values of the outputs as a
            flat list.

    Returns:
        The values of the outputs, in the structure of `model.output`.
    """
    # A new function walks the graph, since a subclass of `keras.Model` may do more in
    # its own walk.
    graph = keras.Function(list(model.inputs), list(model.outputs))
    outputs = run_graph(graph, values, call)
    is_sequence = isinstance(model, keras.Sequential)
    structure = model.outputs if is_sequence else model.output
    return keras.tree.pack_sequence_as(structure, outputs)


def input_like(spec: keras.KerasTensor) -> keras.KerasTensor:
    """Return a new symbolic input of the shape and dtype of a `keras.KerasTensor`."""
    return keras.Input(batch_shape=spec.shape, dtype=spec.dtype)


def is_composite(operation: keras.Operation) -> bool:
    """Return whether an operation is a layer made of other layers.

    A layer can declare this with an attribute `composite`. Otherwise, it is composite
    if it has inner layers.
    """
    if not isinstance(operation, keras.Layer):
        return False
    said = getattr(operation, "composite", None)
    if said is not None:
        return bool(said)
    leaves = keras.tree.flatten(list(vars(operation).values()))
    return any(isinstance(leaf, keras.Layer) for leaf in leaves)


class Refusal(ValueError):
    """Error of a layer that cannot be sampled pixel by pixel.

    Attributes:
        depends_on_batch: Whether an image depends on the other images of its batch,
            under any sampler.
    """

    depends_on_batch = False


def refusal(
    operation: keras.Operation,
    args: Any = (),
    kwargs: Any = None,
    reason: str = "is not known to be causal or pointwise",
) -> Refusal:
    """Return a `Refusal` that names an operation and recommends a replacement.

    Args:
        operation: A Keras layer or operation.
        args: Its positional arguments in the graph.
        kwargs: Its keyword arguments.
        reason: Why it cannot be sampled.
    """
    kind = type(operation).__name__
    advice = _ADVICE.get(type(operation), "use causal or pointwise layers")
    shapes = [
        tuple(getattr(leaf, "spec", leaf).shape)
        for leaf in tf.nest.flatten((args, kwargs or {}))
        if hasattr(leaf, "spec") or isinstance(leaf, np.ndarray)
    ]
    return Refusal(
        f"The incremental sampler evaluates an image pixel by pixel, but {kind} "
        f"'{operation.name}' {reason}. To fix this, {advice}; implement the protocol "
        f"keras_genimg.layers.CausalLayer; or, if the layer acts on each pixel alone, "
        f"set `pointwise = True` in its class. Received: inputs of shape {shapes}"
    )
