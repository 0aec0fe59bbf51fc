"""Compiled functions of a model, made anew when its layers change."""

import keras

from keras_genimg.sampling.trust import is_known


class FunctionCache:
    """Compiled functions by key, dropped when the layers of their model change.

    A traced function goes on using the variables, dtype policies and activations that
    it was traced with, so after `model.quantize("int8")` for example it would return
    results of a model that is no more. A change of the weights' values drops nothing.
    """

    def __init__(self):
        self._functions = {}
        self._state = ()

    def functions(self, model):
        """Return the dict of functions of a model as it is now."""
        state = _state(model)
        # By identity: tensors have no truth value, and equal objects may be others.
        same = len(state) == len(self._state) and all(
            now is before for now, before in zip(state, self._state, strict=True)
        )
        if not same:
            self._functions.clear()
            self._state = state
        return self._functions


def _state(model):
    """Return the objects that traced functions of a model hold on to."""
    state = list(model.variables)
    seen, pending = set(), [model]
    while pending:
        layer = pending.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        attributes = vars(layer)
        state += [
            layer,
            layer.dtype_policy,
            attributes.get("activation"),
            attributes.get("call"),
        ]
        if isinstance(layer, keras.Model):
            pending += layer.layers
        elif getattr(layer, "composite", not is_known(type(layer))):
            pending += [x for x in attributes.values() if isinstance(x, keras.Layer)]
    return state
