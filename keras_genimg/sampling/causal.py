"""Causal layers, and the arguments of their steps."""

import inspect

from keras_genimg.layers.causal_layer import CausalLayer
from keras_genimg.sampling.instructions import Level
from keras_genimg.sampling.linear import is_linear
from keras_genimg.sampling.refusal import refusal


def is_causal_layer(operation):
    """Return whether a layer is evaluated by its methods for the sampler."""
    # A single product takes fewer operations per pixel.
    return (
        isinstance(operation, CausalLayer)
        and not getattr(operation, "pointwise", False)
        and not is_linear(operation)
    )


def causal_level(layer, args, kwargs, level):
    """Return the level of a causal layer's outputs.

    Args:
        layer: A `CausalLayer`.
        args: Positional arguments of its `call`.
        kwargs: Keyword arguments of its `call`.
        level: Highest level of its inputs.

    Raises:
        ValueError: If the layer sees whole rows of an input that depends on pixels of
            its own row.
    """
    if layer.sees_whole_row:
        if level == Level.PIXEL:
            reason = "sees pixels to its right, so its input must depend only on rows "
            raise refusal(layer, args, kwargs, reason + "above")
        return Level.ROWS
    # Stepped along a row, even if the inputs of the whole row are known.
    return Level.PIXEL if layer.sees_current_row else Level.ROWS


def step_arguments(layer, args, kwargs):
    """Return the inputs for the `step` of a causal layer, and other arguments by name.

    Args:
        layer: A `CausalLayer`.
        args: Positional arguments of its `call`.
        kwargs: Keyword arguments of its `call`.
    """
    (_, inputs), *others = bound_arguments(layer, args, kwargs).items()
    others = dict(others)
    for name in ("training", "mask"):
        if others.get(name) is None or others.get(name) is False:
            others.pop(name, None)
    return inputs, others


def check_step(layer, args, kwargs):
    """Raise an error unless a causal layer's `step` accepts the arguments of `call`."""
    inputs, others = step_arguments(layer, args, kwargs)
    try:
        inspect.signature(layer.step).bind((), (), (), inputs, **others)
    except TypeError as error:
        reason = f"is called with arguments that its `step` does not take ({error})"
        raise refusal(layer, args, kwargs, reason) from error


def bound_arguments(operation, args, kwargs):
    """Return the arguments of an operation's `call` by name."""
    signature = inspect.signature(operation.call)
    arguments = dict(signature.bind(*args, **kwargs).arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind == inspect.Parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(name, {}))
    return arguments
