"""Many narrow tensors as one wide tensor."""

import tensorflow as tf


class Bundle:
    """Tensors, concatenated on the last axis and split again.

    Slicing and splitting one wide tensor takes two operations; slicing narrow tensors
    takes one operation each. For single pixels, the number of operations determines the
    speed. Half-precision tensors are stored as float32, which is lossless.

    Args:
        groups: Lists of tensors that agree in all axes but the last.
        dtype: Type of the wide tensor, float32 or float64.
    """

    def __init__(self, groups, dtype=tf.float32):
        self.groups = [[(t.shape[-1], t.dtype) for t in group] for group in groups]
        tensors = [tensor for group in groups for tensor in group]
        self.packed = tf.concat([tf.cast(t, dtype) for t in tensors], axis=-1)
        self.packed.set_shape((*tensors[0].shape[:-1], self.size))

    @property
    def size(self):
        """Length of the last axis."""
        return sum(size for group in self.groups for size, _ in group)

    def unpack(self, packed):
        """Return the groups of tensors in `packed`."""
        sizes = [size for group in self.groups for size, _ in group]
        parts = iter(tf.split(packed, sizes, axis=-1))
        return [
            [tf.cast(next(parts), dtype) for _, dtype in group] for group in self.groups
        ]
