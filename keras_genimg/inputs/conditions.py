"""Conditions: the inputs of a model besides its images, such as labels."""

import keras
import numpy as np
import tensorflow as tf

# The weights of images in a loss are checked like a condition.
SAMPLE_WEIGHT = keras.KerasTensor((None,), "float32", name="sample_weight")


def condition_arrays(model, conditions, num_images, image_shape=None):
    """Return conditions as arrays in the order of the model's inputs.

    Args:
        model: A `GenerativeModel`.
        conditions: Dict of arrays by input name; an array, for a single condition; or
            None.
        num_images: Length of the first axis that each array must have.
        image_shape: `(height, width, colors)` of the images, by default the model's.

    Returns:
        List of NumPy arrays of the inputs' dtypes.

    Raises:
        ValueError: If a condition is missing or unknown, or its shape or values do not
            fit.
    """
    inputs = model.inputs[1:]
    if conditions is None:
        conditions = {}
    elif not isinstance(conditions, dict):
        name = inputs[0].name if len(inputs) == 1 else type(conditions).__name__
        conditions = {name: conditions}
    names = [tensor.name for tensor in inputs]
    if sorted(conditions) != sorted(names):
        raise ValueError(
            f"`conditions` of {model.name} must give the inputs {names}, as a dict by "
            f"name. Received: {sorted(conditions)}"
        )
    arrays = [
        with_rank(np.asarray(conditions[tensor.name]), tensor) for tensor in inputs
    ]
    images_shape = (num_images, *(image_shape or model.image_shape))
    check_conditions(model, arrays, images_shape)
    return [
        array.astype(tensor.dtype) for tensor, array in zip(inputs, arrays, strict=True)
    ]


def check_conditions(model, conditions, images_shape):
    """Raise if the shape or a value of a condition does not fit.

    Args:
        model: A `GenerativeModel`.
        conditions: List of arrays in the order of the model's inputs.
        images_shape: `(num_images, height, width, colors)`.

    Raises:
        ValueError: If a shape differs from that of the input, or a value is out of
            range, see `in_range`.
    """
    for tensor, values in zip(model.inputs[1:], conditions, strict=True):
        values = with_rank(values, tensor)
        check_condition_shape(model, tensor, values.shape, images_shape)
        check_condition_values(model, tensor, values)


def check_condition_shape(model, tensor, shape, images_shape):
    """Raise unless a condition has the shape of its input.

    Args:
        model: A `GenerativeModel`.
        tensor: The input, or `SAMPLE_WEIGHT`.
        shape: Shape of the condition, see `with_rank`; None for unknown sizes.
        images_shape: `(num_images, height, width, colors)`; None for unknown sizes.

    Raises:
        ValueError: If a known size differs.
    """
    expected = (images_shape[0], *tensor.shape[1:])
    fits = len(shape) == len(expected)
    if fits:
        expected = wanted_shape(tensor, shape, images_shape)
        fits = tf.TensorShape(expected).is_compatible_with(shape)
    if not fits:
        hint = ""
        if len(shape) == 4 and 1 in shape[1:3]:
            hint = (
                " For a map of a single row or column, use the size 1 in its "
                "keras.Input."
            )
        raise ValueError(
            f"`{tensor.name}` of {model.name} must have the shape {tuple(expected)}, "
            f"with one element for each of the {images_shape[0]} images.{hint} "
            f"Received: shape={tuple(shape)}"
        )


def wanted_shape(tensor, shape, images_shape):
    """Return the shape that a condition must have, also in a graph.

    Where the input has no size, any will do. The exception is a map of one row or
    column, which Keras would repeat for an image of more.

    Args:
        tensor: The input, or `SAMPLE_WEIGHT`.
        shape: Shape of the condition: integers, None or scalar tensors.
        images_shape: Shape of the images, with the same kinds of sizes.
    """
    wanted = [images_shape[0], *tensor.shape[1:]]
    for axis, size in enumerate(shape):
        if wanted[axis] is not None:
            continue
        wanted[axis] = size
        if len(shape) == 4 and axis in (1, 2) and size is not None:
            of_image = images_shape[axis]
            if tf.is_tensor(size):
                wanted[axis] = tf.where(size > 1, size, of_image)
            elif size == 1:
                wanted[axis] = of_image
    return wanted


def with_rank(values, tensor):
    """Return values with the rank of their input, or as they are if that is hopeless.

    As in Keras, a last axis of size 1 may be missing or superfluous.

    Args:
        values: Array or tensor.
        tensor: The input, or `SAMPLE_WEIGHT`.
    """
    rank = len(tensor.shape)
    if len(values.shape) == rank + 1 and values.shape[-1] == 1:
        return values[..., 0]
    if len(values.shape) == rank - 1 and tensor.shape[-1] == 1:
        return values[..., None]
    return values


def check_condition_values(model, tensor, values):
    """Raise if a value of a condition is out of range.

    Args:
        model: A `GenerativeModel`.
        tensor: The input, or `SAMPLE_WEIGHT`.
        values: NumPy array.

    Raises:
        ValueError: If a value is out of range, see `in_range`.
    """
    if not np.all(in_range(model, tensor, values)):
        limits = _limits(model, tensor)
        needed = "finite numbers"
        if limits is not None:
            needed = f"integers from {limits[0]} to {limits[1]}"
        raise ValueError(
            f"`{tensor.name}` of {model.name} must be {needed}. Received: "
            f"{np.unique(values)[:20]}, dtype {values.dtype}"
        )


def in_range(model, tensor, values):
    """Return a mask of the values of a condition that are in range, also in a graph.

    Floats must be finite. Integers must be integers before any conversion, which would
    cut 0.9 to 0, and in the input's range or that of its dtype.

    Args:
        model: A `GenerativeModel`.
        tensor: The input, or `SAMPLE_WEIGHT`.
        values: Array or tensor.

    Returns:
        Boolean tensor of the same shape.

    Raises:
        ValueError: If the model defines a range for an input that does not exist.
    """
    limits, values = _limits(model, tensor), tf.convert_to_tensor(values)
    is_integer = values.dtype.is_integer or values.dtype.is_bool
    if limits is None and (is_integer or values.dtype.is_floating):
        return tf.math.is_finite(tf.cast(values, tensor.dtype))
    if limits is None or not is_integer:
        return tf.zeros_like(values, tf.bool)
    low, high = limits[0], min(limits[1], tf.int64.max)
    if values.dtype == tf.uint64:
        low = max(low, 0)  # From 2**63 on, they become negative.
    values = tf.cast(values, tf.int64)
    return (values >= low) & (values <= high)


def check_condition_ranges(model):
    """Raise if the model defines a range for an input that does not exist.

    Raises:
        ValueError: If it does.
    """
    names = [each.name for each in model.inputs[1:]]
    unknown = sorted(set(model.condition_ranges) - set(names))
    if unknown:
        raise ValueError(
            f"`condition_ranges` of {model.name} must name its conditions, which are "
            f"{names}. Received: {unknown}"
        )


def _limits(model, tensor):
    """Return the smallest and the largest integer of an input, or None for floats."""
    check_condition_ranges(model)
    if tensor.name in model.condition_ranges:
        return model.condition_ranges[tensor.name]
    dtype = tf.as_dtype(tensor.dtype)
    if dtype.is_bool:
        return 0, 1
    return (dtype.min, dtype.max) if dtype.is_integer else None
