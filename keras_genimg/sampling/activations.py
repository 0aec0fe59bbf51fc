"""Check of a layer's activation."""

import inspect

import keras

from keras_genimg.sampling.graph import walk
from keras_genimg.sampling.instructions import Level, Value, values_in
from keras_genimg.sampling.pointwise import pointwise_function
from keras_genimg.sampling.refusal import refusal
from keras_genimg.sampling.trust import is_known, overrides

_REASON = (
    "has an activation that is not composed of elementwise operations of keras.ops; "
    "call it after the layer"
)


def check_activation(operation, args, kwargs):
    """Raise an error unless the activation of a known layer is elementwise.

    Args:
        operation: A Keras layer or operation that is evaluated on single pixels.
        args: Its positional arguments in the graph.
        kwargs: Its keyword arguments.

    Returns:
        Whether there is an activation that is not from Keras or TensorFlow.

    Raises:
        ValueError: If the activation is not made of elementwise operations.
    """
    activation = getattr(operation, "activation", None)
    if overrides(operation) or getattr(operation, "pointwise", False):
        return False  # The layer's own methods apply it.
    if not callable(activation) or _is_known_function(activation):
        return False
    value = values_in((args, kwargs))[0]
    try:
        acts_on_numbers = _is_elementwise(activation, value.spec)
    except Exception as error:  # Custom code can raise anything.
        raise refusal(operation, args, kwargs, _REASON) from error
    if not acts_on_numbers:
        raise refusal(operation, args, kwargs, _REASON)
    return True


def _is_known_function(activation):
    return inspect.isroutine(activation) and (
        is_known(activation) and not inspect.ismethod(activation)
    )


def _is_elementwise(activation, spec):
    """Return whether a function is made of elementwise operations of `keras.ops`."""
    spec = keras.Input(batch_shape=spec.shape, dtype=spec.dtype)
    found = []

    def call(operation, args, kwargs, specs):
        pixel = None
        if not isinstance(operation, keras.Layer):
            pixel = pointwise_function(operation, args, kwargs)
        found.append(pixel is not None)
        return [Value(0, Level.PIXEL, output) for output in keras.tree.flatten(specs)]

    walk(keras.Model(spec, activation(spec)), [Value(0, Level.PIXEL, spec)], call)
    return all(found)
