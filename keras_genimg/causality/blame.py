"""Search for the layer that lets a pixel see itself or a later one."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.layers.causal_layer import CausalLayer
from keras_genimg.sampling.graph import is_functional, walk


def leaking_layer(model, leak, image_shape, before, after):
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
        image_shape: `(height, width, colors)`.
        before: Input tensors of `model` for one image.
        after: Input tensors for the same image, changed from `leak.changed` on. For a
            leak of the kind `"batch"`, for a batch that begins with the same image.
    """
    inputs, steps = _steps(model)
    tensors = [*inputs, *(tensor for step in steps for tensor in step.made)]
    graph = keras.Model(inputs, tensors)
    values = {
        id(tensor): pair
        for tensor, *pair in zip(
            tensors,
            graph(before, training=False),
            graph(after, training=False),
            strict=True,
        )
    }
    effects = {key: _effect(leak, image_shape, *pair) for key, pair in values.items()}

    def effects_on(tensors):
        """Return the effects on the tensors that change."""
        found = [effects[id(tensor)] for tensor in tensors]
        return [effect for effect in found if effect.changes]

    def name(step):
        operation = step.operation
        inner = None
        if is_functional(operation):
            pairs = [values[id(tensor)] for tensor in step.taken]
            inner = leaking_layer(
                operation, leak, image_shape, *zip(*pairs, strict=True)
            )
        return inner or f"{type(operation).__name__} '{operation.name}'"

    leaking = [s for s in steps if any(e.leaks for e in effects_on(s.made))]
    for step in leaking:
        if any(effect.leaks for effect in effects_on(step.taken)):
            continue
        # The map was made from a tensor without image axes, as by Reshape after
        # Flatten. Go back to the operation that read a map.
        while flat := [t for t in step.taken if effects[id(t)].hides_places]:
            step = next(maker for maker in steps if flat[0] in maker.made)
        return name(step)
    for step in leaking:
        joins = not all(effect.leaks for effect in effects_on(step.taken))
        if joins or isinstance(step.operation, CausalLayer):
            return name(step)
    return next((name(s) for s in leaking if getattr(s.operation, "weights", [])), None)


@dataclasses.dataclass(frozen=True)
class _Step:
    """An operation with its symbolic input and output tensors."""

    operation: object
    taken: list
    made: list


@dataclasses.dataclass(frozen=True)
class _Effect:
    """Effect of a change of the image on a tensor.

    Attributes:
        changes: Whether the tensor changes at all.
        leaks: Whether it changes where it must not. None if it is not a map with the
            image's height and width.
    """

    changes: bool
    leaks: bool | None

    @property
    def hides_places(self):
        """Whether the tensor changes at unknown positions."""
        return self.changes and self.leaks is None


def _steps(model):
    """Return new symbolic inputs of a model, and its operations in order."""
    steps = []

    def record(operation, args, kwargs, specs):
        made = tf.nest.flatten(operation(*args, **kwargs))
        leaves = tf.nest.flatten((args, kwargs))
        taken = [leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)]
        steps.append(_Step(operation, taken, made))
        return made

    inputs = [keras.Input(batch_shape=t.shape, dtype=t.dtype) for t in model.inputs]
    walk(model, inputs, record)
    return inputs, steps


def _effect(leak, image_shape, before, after):
    before, after = np.asarray(before), np.asarray(after)
    if leak.kind == "batch":  # Batches that begin with the same image.
        before, after = (x[:1].astype("float64") for x in (before, after))
        changes = np.abs(before - after) > 1e-4 * np.abs(before).max(initial=0)
        return _Effect(bool(changes.any()), bool(changes.any()))
    changes = before != after
    height, width, num_colors = image_shape
    if changes.ndim < 4 or changes.shape[1:3] != (height, width):
        return _Effect(bool(changes.any()), None)
    num_channels = changes.shape[3]
    pixels = changes.reshape(height * width, num_channels, -1).any(axis=-1)
    place = leak.changed[0] * width + leak.changed[1]
    if leak.kind == "pixel":
        hidden = pixels[:place]
    else:
        # If no color is given, all colors of the pixel must be hidden.
        color = leak.changed[2] if len(leak.changed) > 2 else num_colors
        groups = np.arange(num_channels) * num_colors // num_channels
        hidden = pixels[place, groups <= color]
    return _Effect(bool(changes.any()), bool(hidden.any()))
