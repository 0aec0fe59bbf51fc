"""Many small tensors as few large ones.

Sampling runs thousands of operations that take a microsecond each. Whatever a loop
reads from outside, or takes apart in its body, therefore costs as much as its
arithmetic.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from keras_genimg.types import AxisSize


class Stacks:
    """Tensors, stacked by shape, of which a loop takes parts without a copy.

    A tensor that the body of a loop reads from outside costs 0.25 µs in each iteration,
    as much as a small operation. To take a stack apart copies nothing if its parts are
    aligned in memory, in contrast to a split of the last axis. Equal tensors are not
    stacked twice, see `prepare_lstm`.

    Args:
        structure: Nested structure of tensors and other leaves.
        axis: Axis of the stacks.
    """

    def __init__(self, structure: Any, axis: int = 0):
        self._structure = structure
        # The keys are ids, so that a tensor that occurs twice is stacked once.
        kinds: dict[Any, dict[int, tf.Tensor]] = {}
        for tensor in tensors_in(structure):
            kind = tuple(tensor.shape), tensor.dtype
            kinds.setdefault(kind, {})[id(tensor)] = tensor
        self._stacks = [
            (list(tensors), tf.stack(list(tensors.values()), axis))
            for tensors in kinds.values()
        ]

    def parts(self) -> Any:
        """Return the structure, with parts of the stacks as its tensors."""
        return self._parts(lambda stack: stack)

    def parts_at(self, index: tf.Tensor) -> Any:
        """Return the structure, with tensors at an index of the first axis.

        Only for stacks on the second axis, of tensors that are equally long on the
        first.
        """
        return self._parts(lambda stack: stack[index])

    def _parts(self, select: Callable[[tf.Tensor], tf.Tensor]) -> Any:
        parts: dict[int, Any] = {}
        for keys, stack in self._stacks:
            parts.update(zip(keys, tf.unstack(select(stack)), strict=True))
        return tf.nest.map_structure(
            lambda leaf: parts.get(id(leaf), leaf), self._structure
        )


class Layout(NamedTuple):
    """Positions, in a wide tensor, of the tensors that were packed into it.

    Attributes:
        dtypes: The types of the tensors, a tuple for each group.
        sizes: The sizes of their last axes, in the order of the groups.
    """

    dtypes: tuple[tuple[tf.DType, ...], ...]
    sizes: tuple[AxisSize, ...]


class Packer:
    """Concatenates groups of tensors on the last axis, and splits them again.

    Slicing and splitting one wide tensor takes two operations; slicing narrow tensors
    takes one operation each. For single pixels, the number of operations determines the
    speed. Half-precision tensors are stored as float32, which is lossless.

    The first call of `pack` sets the layout, which all later calls must fit. A loop's
    body can therefore pack what is unpacked after the loop: TensorFlow has traced the
    body by then. A layout holds sizes and types alone, so nothing of the body's graph
    leaves it.

    Args:
        dtype: Type of the wide tensor, float32 or float64.
    """

    def __init__(self, dtype: tf.DType):
        self._dtype = dtype
        self._layout: Layout | None = None  # Set once, by the first `pack`.

    @property
    def layout(self) -> Layout:
        """The `Layout`.

        Raises:
            ValueError: If nothing was packed yet.
        """
        if self._layout is None:
            raise ValueError("A Packer has a layout after its first `pack`.")
        return self._layout

    def pack(self, groups: Sequence[Sequence[tf.Tensor]]) -> tf.Tensor:
        """Return lists of tensors that agree in all axes but the last as one tensor."""
        tensors = [tensor for group in groups for tensor in group]
        layout = Layout(
            tuple(tuple(tensor.dtype for tensor in group) for group in groups),
            tuple(tensor.shape[-1] for tensor in tensors),
        )
        if self._layout is None:
            self._layout = layout
        elif self._layout != layout:
            raise ValueError(
                f"The methods of a layer must return tensors of the same sizes and "
                f"types for each pixel, also `step_row`. Received: {layout} after "
                f"{self._layout}"
            )
        packed = tf.concat([tf.cast(t, self._dtype) for t in tensors], axis=-1)
        packed.set_shape((*tensors[0].shape[:-1], self.size))
        return packed

    @property
    def size(self) -> int:
        """Size of the last axis of the wide tensor; known after the first `pack`."""
        return sum(self.layout.sizes)

    def unpack(self, packed: tf.Tensor) -> list[list[tf.Tensor]]:
        """Return the groups of tensors in a wide tensor, as lists."""
        parts = iter(tf.split(packed, self.layout.sizes, axis=-1))
        return [
            [tf.cast(next(parts), dtype) for dtype in group]
            for group in self.layout.dtypes
        ]


def tensors_in(structure: Any) -> list[tf.Tensor]:
    """Return the tensors of a nested structure, in order."""
    return [leaf for leaf in tf.nest.flatten(structure) if isinstance(leaf, tf.Tensor)]
