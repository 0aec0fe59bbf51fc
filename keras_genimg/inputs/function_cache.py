"""Compiled functions of a model, rebuilt when its layers change."""

import functools

import keras
import tensorflow as tf

from keras_genimg.keras_private import all_layers

_INPUT = keras.Input((1,))
# Attributes that every layer or model has are Keras' own bookkeeping.
_BOOKKEEPING = set(vars(keras.Layer()))
_BOOKKEEPING_OF_MODELS = {
    *vars(keras.Model()),
    *vars(keras.Sequential()),
    *vars(keras.Model(_INPUT, keras.layers.Identity()(_INPUT))),
}
_BY_VALUE = (bool, int, float, complex, str, bytes)


class FunctionCache:
    """Cache of compiled functions, cleared when the layers of their model change.

    A traced function keeps the variables, dtype policies, activations and other
    attributes that layers and the likelihood had when it was traced. After
    `model.quantize("int8")`, for example, it would return results of the old model.
    Attributes are compared by value if they are numbers or strings, in containers too,
    and by identity otherwise: an array that is changed in place goes unnoticed. New
    values of the weights do not clear the cache.

    Args:
        model: The model.
    """

    def __init__(self, model):
        self.functions = {}
        self._model = model
        self._state = ()

    def get(self, key, make):
        """Return the function of a key, made by `make()` if it is not cached."""
        state = _state(self._model)
        same = len(state) == len(self._state)
        if not (same and all(map(_is_same, state, self._state))):
            self.functions.clear()
            self._state = state
        if key not in self.functions:
            self.functions[key] = make()
        return self.functions[key]

    def is_new(self, key):
        """Return whether layers have changed since the last call with this key."""
        calls = []
        self.get(key, lambda: calls.append(key))
        return bool(calls)

    def compiled(self, key, function, **options):
        """Return `function` as a `tf.function` with some options, cached."""
        # TensorFlow counts traces by the code of a function, and would warn when the
        # fifth model is used. A partial has no code.
        own = functools.partial(function)
        return self.get(key, lambda: tf.function(own, autograph=False, **options))


def _is_same(value, other):
    # Tensors have no truth value, and equal objects need not be the same.
    if value is other:
        return True
    return type(value) is type(other) in _BY_VALUE and value == other


def _state(model):
    """Return the objects that traced functions of a model hold on to."""
    state = [*model.variables, model.likelihood]
    own = [*vars(model.likelihood).values()]
    for layer in all_layers(model):
        attributes = vars(layer)
        state += (layer, layer.dtype_policy, attributes.get("call"))
        if layer is model:  # Compiling and training it sets attributes.
            continue
        is_model = isinstance(layer, keras.Model)
        known = _BOOKKEEPING_OF_MODELS if is_model else _BOOKKEEPING
        own += [attributes[name] for name in attributes if name not in known]
    return state + keras.tree.flatten(own)
