"""Objects that are described by the arguments of their constructor."""

import inspect
from typing import Any

import keras

from keras_genimg.types import Config


class Configurable:
    """Base class of objects that Keras can store by their constructor's arguments.

    Two objects are equal if they have the same class and the same arguments. A
    subclass with arguments implements `get_config`.
    """

    def get_config(self) -> Config:
        """Return the constructor's arguments as a dict."""
        return {}

    @classmethod
    def from_config(cls, config: Config) -> "Configurable":
        """Create an object from the dict returned by `get_config`."""
        return cls(**config)

    def __eq__(self, other: Any) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((type(self), str(self.get_config())))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def own_arguments(values, *left_out):
    """Return the named arguments that a constructor was called with, as a dict.

    Args:
        values: `locals()`, as the first statement of the constructor has it.
        *left_out: Names of arguments to leave out.
    """
    left_out = {"self", "__class__", "kwargs", *left_out}
    return {name: value for name, value in values.items() if name not in left_out}


def arguments_of(layer, owner):
    """Return the named arguments of a constructor for a layer's config.

    Args:
        layer: Layer that stores each argument under its own name.
        owner: The class with the constructor, the layer's or one above it.
    """
    # The first and the last parameter are self and kwargs.
    _, *names, _ = inspect.signature(owner.__init__).parameters
    serialize = keras.saving.serialize_keras_object
    return {name: serialize(getattr(layer, name)) for name in names}


def copy_of(initializer):
    """Return a copy of an initializer with a seed, which repeats its values.

    Others are returned as they are. A seed generator gives other values each time, and
    constants need no copy.
    """
    is_keras = isinstance(initializer, keras.initializers.Initializer)
    repeats = is_keras and isinstance(getattr(initializer, "seed", None), int)
    return initializer.clone() if repeats else initializer


def from_identifier(name, identifier, kind, by_name):
    """Return the object that a name, a config or the object itself stands for.

    Args:
        name: Name of what is identified, for the error text.
        identifier: A key of `by_name`, the config of a serialized object, or an object
            of class `kind`.
        kind: Base class of the objects.
        by_name: Dict of classes by name.

    Returns:
        An object of class `kind`.

    Raises:
        ValueError: If `identifier` is none of these.
    """
    if isinstance(identifier, str) and identifier in by_name:
        return by_name[identifier]()
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if isinstance(identifier, kind):
        return identifier
    raise ValueError(
        f"A {name} must be one of {', '.join(map(repr, by_name))}, or an object of a "
        f"class derived from {kind.__name__}. Received: {name}={identifier!r}"
    )
