"""Compiled functions of a model, rebuilt when its layers change."""

import operator

import keras

from keras_genimg.sampling.trust import is_known


class FunctionCache:
    """Cache of compiled functions, cleared when the layers of their model change.

    A traced function keeps the variables, dtype policies and activations that it was
    traced with. After `model.quantize("int8")`, for example, it would return results of
    the old model. New values of the weights do not clear the cache.
    """

    def __init__(self):
        self._functions = {}
        self._state = ()

    def get(self, model, key, make):
        """Return the function of a key, made by `make()` if it is not cached."""
        functions = self.functions(model)
        if key not in functions:
            functions[key] = make()
        return functions[key]

    def functions(self, model):
        """Return the dict of functions for the present state of a model."""
        state = _state(model)
        # By identity: tensors have no truth value, and equal objects need not be the
        # same.
        same = len(state) == len(self._state)
        if not (same and all(map(operator.is_, state, self._state))):
            self._functions.clear()
            self._state = state
        return self._functions


def _state(model):
    """Return the objects that traced functions of a model hold on to."""
    # Runs before each drawing, so it must take less than 0.1 ms.
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
