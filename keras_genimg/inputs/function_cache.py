"""Compiled functions of a model and other values, kept until its layers change."""

import functools
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import keras
import tensorflow as tf

from keras_genimg.keras_private import all_layers
from keras_genimg.model_types import ImageModel

_INPUT = keras.Input((1,))
# Attributes that every layer or model has are Keras' own bookkeeping.
_BOOKKEEPING = set(vars(keras.Layer()))
_BOOKKEEPING_OF_MODELS = {
    *vars(keras.Model()),
    *vars(keras.Sequential()),
    *vars(keras.Model(_INPUT, keras.layers.Identity()(_INPUT))),
}
_BY_VALUE = (bool, int, float, complex, str, bytes)


Key = TypeVar("Key")
Entry = TypeVar("Entry")


class LayerVersion:
    """Mark of the layers of a model, a new one whenever they have changed.

    A traced function keeps the variables, dtype policies, activations and other
    attributes that layers and the likelihood had when it was traced. After
    `model.quantize("int8")`, for example, it would return results of the old model.
    Attributes are compared by value if they are numbers or strings, in containers too,
    and by identity otherwise: an array that is changed in place goes unnoticed. New
    values of the weights are no change.

    Args:
        model: The model.
    """

    def __init__(self, model: ImageModel):
        self._model = model
        self._state: list[Any] = []
        self._mark = object()
        self._seen: dict[str, object] = {}

    def mark(self) -> object:
        """Return an object to be compared by identity, the same until a change."""
        state = _state(self._model)
        same = len(state) == len(self._state)
        if not (same and all(map(_is_same, state, self._state))):
            self._state = state
            self._mark = object()
        return self._mark

    def is_new_to(self, reader: str) -> bool:
        """Return whether layers have changed since the last call of a reader."""
        mark = self.mark()
        is_new = self._seen.get(reader) is not mark
        self._seen[reader] = mark
        return is_new


class UntilChange(Generic[Key, Entry]):
    """Values that belong to a model, forgotten when its layers change.

    Args:
        version: The `LayerVersion` of the model.
    """

    def __init__(self, version: LayerVersion):
        self._version = version
        self._mark: object = None  # It is read when the model is complete.
        self._entries: dict[Key, Entry] = {}

    def entries(self) -> dict[Key, Entry]:
        """Return a dict to read and to add to. It is empty after a change."""
        mark = self._version.mark()
        if mark is not self._mark:
            self._mark = mark
            self._entries.clear()
        return self._entries

    def get(self, key: Key, make: Callable[[], Entry]) -> Entry:
        """Return the entry of a key, made by `make()` if there is none."""
        entries = self.entries()
        if key not in entries:
            entries[key] = make()
        return entries[key]


class FunctionCache(UntilChange[Hashable, Callable[..., Any]]):
    """Compiled functions of a model, compiled again when its layers have changed."""

    def compiled(
        self, key: Hashable, function: Callable[..., Any], **options: Any
    ) -> Callable[..., Any]:
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


def _state(model: ImageModel):
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
