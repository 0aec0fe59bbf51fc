"""Calls of compiled functions on many images, batch by batch, with progress."""

import numpy as np
import tensorflow as tf

from keras_genimg.inputs.conditions import with_rank
from keras_genimg.inputs.images import check_values, checked_inputs, inputs_of
from keras_genimg.inputs.progress import SLOW, reported, slices, timed_slices
from keras_genimg.ops.checks import check_positive_int


def draw_images(
    model, draw, inputs, batch_size, verbose, method="generate", note="", cost=0
):
    """Call a function that draws images, batch by batch.

    Args:
        model: The model that draws, for messages.
        draw: Function of one tensor per array in `inputs` that returns a tensor or a
            structure of tensors.
        inputs: Arrays with one element per image to draw.
        batch_size: Number of images in a batch.
        verbose: See `reported`.
        method: Name of the public method, for messages.
        note: See `reported`.
        cost: Operations that an image takes. If a batch may take long, it is announced.

    Returns:
        NumPy arrays for all images, in the structure that `draw` returns.

    Raises:
        ValueError: If `batch_size` is not an integer of at least 1.
    """
    batch_size = check_positive_int("batch_size", batch_size, method)
    total = len(inputs[0])
    batches = _batches(inputs, slices(total, batch_size))
    task = f"{model.name}.{method}"
    slow = cost * min(total, batch_size) > SLOW
    return _joined(draw, reported(batches, task, total, verbose, note, slow))


def map_images(
    model, function, images, method, batch_size, verbose, note="", splits=False
):
    """Call a function on batches of a model's inputs.

    Args:
        model: A `GenerativeModel`.
        function: Function of `(images, *conditions)`, tensors or arrays, that returns a
            tensor or a structure of tensors with one element per image.
        images: Images in the likelihood's own range, as an array or a
            `tf.data.Dataset` of batches; all inputs of a model with conditions.
        method: Name of the public method, for error texts.
        batch_size: Number of images in a batch, for arrays.
        verbose: See `reported`.
        note: See `reported`.
        splits: Whether arrays may be split into smaller batches that take about half a
            second each. The split depends on the speed of the machine, so the
            function's results must not depend on the batch, to the last bit.

    Returns:
        NumPy arrays for all images, in the structure that `function` returns.

    Raises:
        ValueError: If there are no images, or their shape, a pixel or a condition does
            not fit.
    """
    batch_size = check_positive_int("batch_size", batch_size, method)
    task = f"{model.name}.{method}"
    data = checked_inputs(images, model, task)
    if isinstance(data, tf.data.Dataset):
        total, unit = int(data.cardinality()), "batch"
        batches = _checked_batches(model, data, task)
    else:
        inputs = _inputs_in_order(model, data)
        total, unit = len(inputs[0]), "image"
        parts = (timed_slices if splits else slices)(total, batch_size)
        batches = _batches(inputs, parts)
    # One rank for all batches, so that a graph knows it.
    batches = (
        [with_rank(*pair) for pair in zip(batch, model.inputs, strict=True)]
        for batch in batches
    )
    return _joined(function, reported(batches, task, total, verbose, note, unit=unit))


def _batches(inputs, parts):
    return ([tf.constant(values[part]) for values in inputs] for part in parts)


def _joined(function, batches):
    """Call a function on batches; return the concatenated results as arrays."""
    results = [tf.nest.map_structure(np.asarray, function(*batch)) for batch in batches]
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *results)


def _checked_batches(model, dataset, owner):
    for element in dataset:
        batch = _inputs_in_order(model, element)
        check_values(batch, model, owner)
        yield batch


def _inputs_in_order(model, element):
    """Return the inputs in an array or an element of a data set, as a list."""
    element = inputs_of(element) if len(model.inputs) == 1 else element
    if isinstance(element, dict):
        element = [element[tensor.name] for tensor in model.inputs]
    return element if isinstance(element, (list, tuple)) else [element]
