"""Search for the layer that lets a pixel see itself or a later one."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_genimg.causality.leak import Leak
from keras_genimg.keras_private import Call, calls_in_order, runs_its_graph
from keras_genimg.layers.causal_layer import CausalLayer
from keras_genimg.model_types import FunctionalModel
from keras_genimg.ops.color_masks import color_groups
from keras_genimg.types import AxisSize, TensorLike


def outputs_in_inference(graph: keras.Model, inputs: Sequence[TensorLike]) -> list[Any]:
    """Return the outputs of a functional model in inference, as a flat list."""
    return graph(inputs, training=False)


def leaking_layer(
    model: FunctionalModel,
    leak: Leak,
    before: Sequence[TensorLike],
    after: Sequence[TensorLike],
    image_shape: Sequence[AxisSize] | None = None,
    outputs_of: Callable[..., list[Any]] = outputs_in_inference,
) -> str | None:
    """Return type and name of the layer that leaks, or None if it cannot be found.

    The search follows the changed image through the graph. If the change reaches an
    earlier pixel or color, the leaking layer is the first operation whose output
    changes there although its inputs do not. If the pixel sees itself, every operation
    after the image may show the change. The search then names the first operation that
    is a causal layer, which should have hidden it, or that adds the image to causal
    features. If there is none, it names the first operation with weights.

    Args:
        model: A functional model.
        leak: The `Leak`.
        before: Inputs of `model` for one image.
        after: Inputs for the same image, changed from `leak.changed` on. For a leak of
            the kind `"batch"`, for a batch that has the same image at its places 0 and
            -2; for one of the kind `"call"`, the same inputs.
        image_shape: `(height, width, colors)`, by default that of the first input.
        outputs_of: Function of a functional model and its inputs that returns the
            outputs.
    """
    shape = image_shape or tuple(before[0].shape[1:])
    steps = _steps(model)
    tensors = [*model.inputs, *(tensor for step in steps for tensor in step.outputs)]
    graph = keras.Model(model.inputs, tensors)
    both = outputs_of(graph, before), outputs_of(graph, after)
    values = {id(x): pair for x, *pair in zip(tensors, *both, strict=True)}
    effects = {key: _effect(leak, shape, *pair) for key, pair in values.items()}
    # For each changed tensor: True if the change violates causality.
    leaks = {key: here for key, (changes, here) in effects.items() if changes}

    def leaks_of(tensors: list[keras.KerasTensor]) -> list[Any]:
        return [leaks[id(tensor)] for tensor in tensors if id(tensor) in leaks]

    def name(step: Call) -> str:
        operation, inner = step.operation, None
        if runs_its_graph(operation):
            pairs = [values[id(tensor)] for tensor in step.inputs]
            old, new = zip(*pairs, strict=True)
            inner = leaking_layer(operation, leak, old, new, shape, outputs_of)
        return inner or f"{type(operation).__name__} '{operation.name}'"

    leaking = [step for step in steps if any(leaks_of(step.outputs))]
    for step in leaking:
        if any(leaks_of(step.inputs)):
            continue
        # The map was made from a tensor without image axes, as by Reshape after
        # Flatten. Go back to the operation that read a map.
        while flat := [t for t in step.inputs if leaks.get(id(t), False) is None]:
            step = next(maker for maker in steps if flat[0] in maker.outputs)
        return name(step)
    for step in leaking:
        joins = not all(leaks_of(step.inputs))
        if joins or isinstance(step.operation, CausalLayer):
            return name(step)
    weighted = (step for step in leaking if getattr(step.operation, "weights", []))
    return next(map(name, weighted), None)


def _steps(model: FunctionalModel) -> list[Call]:
    """Return the calls in a model's graph, in the order of computation."""
    return calls_in_order(keras.Function(model.inputs, model.outputs))


def _effect(
    leak: Leak, image_shape: Sequence[AxisSize], before: TensorLike, after: TensorLike
) -> tuple[Any, Any]:
    """Return whether a tensor changes, and whether it does so where it must not.

    The latter is None for a tensor that is no map of the image's height and width.
    """
    before, after = np.asarray(before), np.asarray(after)
    if leak.kind == "batch":
        before, after = before.astype("float64"), after[[0, -2]].astype("float64")
        changes = np.abs(before - after) > 1e-4 * np.abs(before).max(initial=0)
        return changes.any(), changes.any()
    changes = before != after
    if leak.kind == "call":
        return changes.any(), changes.any()
    height, width, num_colors = image_shape
    if changes.ndim < 4 or changes.shape[1:3] != (height, width):
        return changes.any(), None
    num_channels = changes.shape[3]
    pixels = changes.reshape(height * width, num_channels, -1).any(axis=-1)
    place = leak.changed[0] * width + leak.changed[1]
    if leak.kind == "pixel":
        return changes.any(), pixels[:place].any()
    # If no color is given, all colors of the pixel must be hidden.
    color = leak.changed[2] if len(leak.changed) > 2 else num_colors
    groups = color_groups(num_channels, num_colors)
    return changes.any(), pixels[place, groups <= color].any()
