"""Inputs of autoregressive networks besides the images."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_genimg.types import Policy, SymbolicTensor


def condition_input(
    num_classes: int | None,
    condition_shape: Sequence[int | None] | None,
    units: int,
    dtype: Policy | None = None,
) -> tuple[list[SymbolicTensor], SymbolicTensor | None]:
    """Return the input of a condition, and the condition map for the layers.

    Args:
        num_classes: Number of classes, for an int32 input `"label"` of shape `(batch,)`
            with a learned embedding; or None.
        condition_shape: `(height or 1, width or 1, depth)`, for an input `"condition"`
            that is used as it is; or None.
        units: Size of the embedding of a class.
        dtype: Dtype policy of the embedding.

    Returns:
        List of one input or none; and the condition, `(batch, 1, 1, units)` or
        `(batch, *condition_shape)`, or None if both are None.
    """
    if num_classes is not None:
        label = keras.Input((), dtype="int32", name="label")
        embedding = layers.Embedding(
            num_classes, units, name="class_embedding", dtype=dtype
        )
        as_image = layers.Reshape((1, 1, units), name="class_image", dtype=dtype)
        return [label], as_image(embedding(label))
    if condition_shape is not None:
        condition = keras.Input(condition_shape, name="condition")
        return [condition], condition
    return [], None
