"""Parts of a program for one pixel."""

import dataclasses
import enum
from collections.abc import Callable

import keras
import tensorflow as tf


class Level(enum.IntEnum):
    """The part of an image that must be known before a value can be computed.

    The level of an operation's outputs is the highest level of its inputs, except for
    causal layers that see only finished rows.
    """

    FIXED = 0  # Nothing: independent of the image. Computed once.
    ROWS = 1  # The rows above. Computed once per row, for all columns.
    PIXEL = 2  # Pixels of the same row. Computed for each pixel.


@dataclasses.dataclass(frozen=True)
class Value:
    """A tensor of the graph.

    Attributes:
        index: Its number.
        level: Its `Level`.
        spec: Its `keras.KerasTensor`.
    """

    index: int
    level: Level
    spec: keras.KerasTensor


@dataclasses.dataclass(frozen=True)
class Weight:
    """A weight that a layer passes to an operation.

    Attributes:
        variable: The `keras.Variable`.
        dtype: Compute dtype of the layer, to which floating-point weights are cast.
    """

    variable: keras.Variable
    dtype: str

    @property
    def shape(self):
        """Shape of the variable."""
        return self.variable.shape

    def read(self):
        """Return the weight as the layer sees it."""
        tensor = tf.convert_to_tensor(self.variable)
        return tf.cast(tensor, self.dtype) if tensor.dtype.is_floating else tensor


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One operation of the graph.

    Attributes:
        operation: The Keras layer or operation.
        args: Its positional arguments, with `Value`s and `Weight`s in place of tensors.
        kwargs: Its keyword arguments.
        outputs: List of the `Value`s it computes, in the order of its flat output.
        pixel: Result of `pointwise_function`, for a pointwise operation above level
            `FIXED`. None for a causal layer.
    """

    operation: keras.Operation
    args: tuple
    kwargs: dict
    outputs: list
    pixel: Callable | None = None

    @property
    def level(self):
        """Level of its outputs."""
        return self.outputs[0].level

    @property
    def inputs(self):
        """The `Value`s among the arguments."""
        return values_in((self.args, self.kwargs))

    def fill(self, tensors):
        """Return the arguments with tensors in place of `Value`s and `Weight`s.

        Args:
            tensors: Dict of tensors by index of value.
        """

        def tensor_of(leaf):
            if isinstance(leaf, Value):
                return tensors[leaf.index]
            return leaf.read() if isinstance(leaf, Weight) else leaf

        return tf.nest.map_structure(tensor_of, (self.args, self.kwargs))

    def run(self, args, kwargs):
        """Call the operation on whole maps; return its flat outputs."""
        return tf.nest.flatten(self.operation(*args, **kwargs))


def values_in(structure):
    """Return the `Value`s in a structure of arguments, in order."""
    leaves = tf.nest.flatten(structure)
    return [leaf for leaf in leaves if isinstance(leaf, Value)]
