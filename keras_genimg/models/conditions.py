"""Conditions: the inputs of a model besides its images, such as labels."""

import numpy as np
import tensorflow as tf

from keras_genimg.saved_model.input import Input, real_input


def condition_arrays(model, conditions, num_images):
    """Return conditions as arrays in the order of the model's inputs.

    Args:
        model: A `GenerativeModel`.
        conditions: Dict of arrays by input name; an array, for a single condition; or
            None.
        num_images: Length of the first axis that each array must have.

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
        conditions = {inputs[0].name: conditions} if len(inputs) == 1 else {"": 0}
    names = [tensor.name for tensor in inputs]
    if sorted(conditions) != sorted(names):
        raise ValueError(
            f"`conditions` of {model.name} must give the inputs {names}, as a dict by "
            f"name. Received: {sorted(conditions)}"
        )
    arrays = [np.asarray(conditions[tensor.name]) for tensor in inputs]
    for tensor, array in zip(inputs, arrays, strict=True):
        if array.ndim != len(tensor.shape) or len(array) != num_images:
            raise ValueError(
                f"Condition '{tensor.name}' must have the shape {tensor.shape} with "
                f"one element for each of the {num_images} images. Received: "
                f"shape={array.shape}"
            )
    check_conditions(model, dict(zip(names, arrays, strict=True)))
    return [
        array.astype(tensor.dtype) for tensor, array in zip(inputs, arrays, strict=True)
    ]


def check_conditions(model, conditions):
    """Raise an error if a value of a condition is out of range.

    Args:
        model: A `GenerativeModel`.
        conditions: Dict of NumPy arrays by input name.

    Raises:
        ValueError: If a value is out of range, see `GenerativeModel.condition_ranges`.
    """
    for name, in_range in conditions_in_range(model, conditions).items():
        if not np.all(in_range):
            low, high = model.condition_ranges[name]
            raise ValueError(
                f"`{name}` of {model.name} must be integers from {low} to {high}. "
                f"Received: {np.unique(conditions[name])[:20]}"
            )


def conditions_in_range(model, conditions):
    """Return masks of the condition values that are in range, also in a graph.

    Args:
        model: A `GenerativeModel`.
        conditions: Dict of tensors by input name.

    Returns:
        Dict of boolean tensors of the same shapes, for conditions with a range.

    Raises:
        ValueError: If the model defines a range for an input that does not exist.
    """
    names = [tensor.name for tensor in model.inputs[1:]]
    unknown = sorted(set(model.condition_ranges) - set(names))
    if unknown:
        raise ValueError(
            f"`condition_ranges` of {model.name} must name its conditions, which are "
            f"{names}. Received: {unknown}"
        )
    result = {}
    for name, (low, high) in model.condition_ranges.items():
        if name not in conditions:
            continue
        values = tf.convert_to_tensor(conditions[name])
        if values.dtype.is_integer:
            values = tf.cast(values, tf.int64)
            result[name] = (values >= low) & (values <= high)
        else:
            result[name] = tf.zeros_like(values, tf.bool)
    return result


def served_conditions(model, image_shape):
    """Return the conditions as inputs of endpoints, in order.

    Args:
        model: A `GenerativeModel`.
        image_shape: `(height, width, colors)`. Condition maps of unknown size get this
            height and width.

    Returns:
        Dict of `keras_genimg.saved_model.Input` by name.
    """
    served = {}
    for tensor in model.inputs[1:]:
        if tensor.name in model.condition_ranges:
            spec = tf.TensorSpec(tensor.shape, tensor.dtype)
            served[tensor.name] = Input(spec, *model.condition_ranges[tensor.name])
            continue
        shape = list(tensor.shape)
        if len(shape) == 4:
            sizes = zip(shape[1:3], image_shape[:2], strict=True)
            shape[1:3] = [size or whole for size, whole in sizes]
        served[tensor.name] = real_input(shape, tensor.dtype)
    return served
