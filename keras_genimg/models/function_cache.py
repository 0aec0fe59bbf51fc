"""Compiled functions of a model, rebuilt when its layers change."""

import operator

import keras

from keras_genimg.sampling.trust import is_known


class FunctionCache:
    """Compiled functions by key, dropped when the layers of their model change.

    A traced function keeps using the variables, dtype policies and activations that it
    was traced with, so after `model.quantize("int8")` for example it would return
    results of the old model. A change of the weights' values drops nothing.
    """

    def __init__(self):
        self._functions = {}
        self._state = ()

    def get(self, model, key, make):
        """Return the function of a key, made by `make()` unless it is there."""
        functions = self.functions(model)
        if key not in functions:
            functions[key] = make()
        return functions[key]

    def functions(self, model):
        """Return the dict of functions of a model as it is now."""
        state = _state(model)
        # By identity: tensors have no truth value, and equal objects may be others.
        same = len(state) == len(self._state)
        if not (same and all(map(operator.is_, state, self._state))):
            self._functions.clear()
            self._state = state
        return self._functions


def _state(model):
    """Return the objects that traced functions of a model hold on to."""
    # Each drawing asks, so this is kept under 0.1 ms.
    state = model.variables
    pending, seen = [model], {id(model)}
    for layer in pending:
        attributes = vars(layer)
        state += (
            layer,
            layer.dtype_policy,
            attributes.get("activation"),
            attributes.get("call"),
        )
        if isinstance(layer, keras.Model):
            inner = layer.layers
        elif getattr(layer, "composite", None) or not is_known(type(layer)):
            inner = [x for x in attributes.values() if isinstance(x, keras.Layer)]
        else:
            continue
        for each in inner:
            if id(each) not in seen:
                seen.add(id(each))
                pending.append(each)
    return state
