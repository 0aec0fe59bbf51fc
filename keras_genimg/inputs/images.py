"""Checks of images and conditions, at the call that receives them."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.inputs.torch_loader import is_torch_loader, loader_dataset
from keras_genimg.model_types import FunctionalModel, ImageModel
from keras_genimg.ops.checks import as_array, check_image_shape, is_int, is_real

# The input that `num_classes` and data sets of labels have.
LABEL = "label"
# The weights of images in a loss are checked like a condition.
SAMPLE_WEIGHT = keras.KerasTensor((None,), "float32", name="sample_weight")
# Targets, which come with weights only, are checked to be the images.
TARGETS = keras.KerasTensor((None, None, None, None), "float32", name="targets")


def images_of(x, model: FunctionalModel):
    """Return the images among a model's inputs, which are its first input.

    Args:
        x: See `inputs_of`.
        model: The model that takes `x`.

    Raises:
        ValueError: If `x` does not hold the inputs of `model`.
    """
    return inputs_of(x, model)[0]


def inputs_of(x, model: FunctionalModel):
    """Return a model's inputs as a list in the order of `model.inputs`.

    Args:
        x: Images; or, for a model with more inputs, a list or tuple in the order of
            `model.inputs`, or a dict by input name.
        model: The model that takes `x`.

    Raises:
        ValueError: If `x` does not hold the inputs of `model`.
    """
    names = [tensor.name for tensor in model.inputs]
    if isinstance(x, dict) and set(x) == set(names):
        return [x[name] for name in names]
    if isinstance(x, (list, tuple)) and len(x) == len(names):
        return list(x)
    if len(names) == 1 and not isinstance(x, (dict, list, tuple)):
        return [x]
    received = sorted(x) if isinstance(x, dict) else type(x).__name__
    raise ValueError(
        f"{model.name} takes the inputs {names}, in this order or as a dict by name. "
        f"Received: {received}"
    )


def like(x, values, model: FunctionalModel):
    """Return a list of inputs in the structure of `x`; a single one as a tensor."""
    if len(values) == 1:
        return values[0]
    names = [tensor.name for tensor in model.inputs]
    return dict(zip(names, values, strict=True)) if isinstance(x, dict) else values


def checked_inputs(x, model: ImageModel, owner, in_steps=False):
    """Validate inputs to `fit`, `log_prob` and similar methods.

    Arrays and tensors are checked completely, a `tf.data.Dataset` only by its element
    spec. The caller must check the batches of data sources: `StepCheck` does so in
    training steps, `checked_values` on the host.

    Args:
        x: Images and conditions as arrays, or a data source that Keras reads.
        model: A `GenerativeModel`.
        owner: The call that received `x`, for error texts.
        in_steps: Whether Keras will read `x`, which can then be any source that Keras
            supports. Otherwise, `x` must be arrays, a `tf.data.Dataset` or a PyTorch
            `DataLoader`.

    Returns:
        `x`, with arrays as `checked_values` returns them, and a PyTorch `DataLoader` as
        a `tf.data.Dataset`.

    Raises:
        ValueError: If there are no images, or their shape or pixels do not fit.
    """
    if is_torch_loader(x):
        x = loader_dataset(x, owner)
    if isinstance(x, tf.data.Dataset):
        _check_dataset(x, model, owner, in_steps)
        return x
    sources = (keras.utils.PyDataset, tf.distribute.DistributedDataset)
    if isinstance(x, sources) or hasattr(x, "__next__"):
        if in_steps:
            return x
        raise ValueError(
            f"{owner} reads arrays, a tf.data.Dataset of batches or a PyTorch "
            f"DataLoader. Call it for each batch, or make a data set of them with "
            f"tf.data.Dataset.from_generator. Received: {type(x).__name__}"
        )
    if not isinstance(x, (dict, list, tuple)):
        received, x = type(x).__name__, np.asarray(x)
        if x.dtype == object:
            raise ValueError(
                f"{owner} cannot read a {received}. Pass an array, a tf.data.Dataset, "
                f"a keras.utils.PyDataset, a PyTorch DataLoader, or a generator of "
                f"1-tuples, such as ((batch,) for batch in data). Received: {received}"
            )
    images, *conditions = checked_values(x, model, owner)
    if len(images) == 0:
        raise ValueError(f"{owner} received no images: shape={images.shape}")
    return like(x, [images, *conditions], model)


def checked_values(x, model: ImageModel, owner):
    """Return a model's inputs as arrays; raise if a shape or a value does not fit.

    Args:
        x: Arrays or eager tensors, see `inputs_of`.
        model: A `GenerativeModel`.
        owner: The call that received them, for error texts.

    Returns:
        List of NumPy arrays with the ranks of the model's inputs.

    Raises:
        ValueError: If a shape does not fit, or a pixel or a condition is out of range.
    """
    images, *others = inputs_of(x, model)
    images = as_array(model.inputs[0].name, images, owner)
    check_shape(images.shape, model, owner)
    model.likelihood.check_images(images, owner)
    conditions = [
        checked_condition(model, tensor, values, images.shape)
        for tensor, values in zip(model.inputs[1:], others, strict=True)
    ]
    model.check_together(images, conditions, owner)
    return [images, *conditions]


def check_shape(shape, model: ImageModel, owner):
    """Raise unless `shape` is that of a batch of the model's images.

    Raises:
        ValueError: If rank, height, width or number of colors disagree.
    """
    expected = (None, *model.image_shape)
    if not tf.TensorShape(expected).is_compatible_with(shape):
        hint = ""
        if len(shape) == 3:
            hint = " Add the color axis with images[..., None]."
        elif len(shape) == 4 and shape[1] == expected[-1] != shape[-1]:
            hint = " Move the color axis to the end: np.moveaxis(images, 1, -1)."
        raise ValueError(
            f"{owner} expects images of shape (batch, height, width, colors) = "
            f"{expected}.{hint} Received: shape={tuple(shape)}"
        )


def known_image_shape(x, model: ImageModel):
    """Return the shape of the images in `x`, with None for unknown sizes.

    Args:
        x: Result of `checked_inputs`.
        model: A `GenerativeModel`.

    Returns:
        `(height, width, colors)`.
    """
    if isinstance(x, tf.data.Dataset):
        x = without_tuple(x.element_spec)
    elif not isinstance(x, (np.ndarray, dict, list, tuple)):
        return model.image_shape
    shape = tf.TensorShape(images_of(x, model).shape)
    known = tf.TensorShape((None, *model.image_shape)).merge_with(shape)
    return tuple(known[1:])


def sized_image_shape(model: FunctionalModel, image_size, owner):
    """Return a model's image shape with unknown sizes taken from `image_size`.

    Args:
        model: A `GenerativeModel`.
        image_size: `(height, width)`, or None if the model knows its own.
        owner: The call that needs the shape, for error texts.

    Returns:
        `(height, width, colors)`, all known.

    Raises:
        ValueError: If a size is missing or disagrees with the model's.
    """
    *known, colors = model.inputs[0].shape[1:]
    size = known if image_size is None else image_size
    size = tuple(size) if np.iterable(size) else ()
    fits = len(size) == 2 and all(
        have is not None and want in (None, have)
        for want, have in zip(known, size, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{owner} needs `image_size=(height, width)` that fits the model's image "
            f"shape {(*known, colors)}. Received: image_size={image_size}"
        )
    return check_image_shape((*size, colors), owner)


def _check_dataset(dataset, model: ImageModel, owner, in_steps):
    """Raise if a data set is empty or its elements are not batches of inputs.

    Raises:
        ValueError: If the element spec does not fit.
    """
    if int(dataset.cardinality()) == 0:
        raise ValueError(f"{owner} received an empty data set: {dataset}")
    element = dataset.element_spec
    count = len(element) if isinstance(element, tuple) else 1
    if count == 2 or count > 3 or (count == 3 and not in_steps):
        received = f"a data set whose elements are {count}-tuples: {element}"
        refuse_targets(model, owner, received)
    specs = inputs_of(without_tuple(element), model)
    unknown = any(
        spec.shape.rank is None
        for spec in tf.nest.flatten(element)
        if isinstance(spec, tf.TensorSpec)  # Others stand for None.
    )
    if in_steps and unknown:  # Keras cannot read such data.
        raise ValueError(
            f"{owner} needs to know the number of axes of each input. Tell them with "
            f"`dataset.map(lambda images: tf.ensure_shape(images, (None, height, width,"
            f" colors)))`. Received: a data set with elements {element}"
        )
    images, *_ = specs
    check_shape(images.shape, model, owner)


def check_use_of_targets(model: ImageModel, y, sample_weight, owner):
    """Raise if there are targets without weights, or weights that the model ignores.

    Keras drops weights without targets, so data with weights has the images instead of
    the targets. The values are left to `check_targets` or `StepCheck`.

    Args:
        model: A `GenerativeModel`.
        y: Targets, or None.
        sample_weight: Weights of the images, or None.
        owner: The call that received them, for error texts.

    Raises:
        ValueError: If either does not belong there.
    """
    received = f"y of type {type(y).__name__}"
    if sample_weight is None:
        if y is not None:
            refuse_targets(model, owner, received)
    elif not model.weighs_images:
        raise ValueError(
            f"{owner} takes no `sample_weight`, since it would not weigh the whole "
            f"loss of an image. Leave it out, or repeat images in the data. Received: "
            f"sample_weight of type {type(sample_weight).__name__}"
        )
    elif isinstance(y, (dict, list, tuple)):
        refuse_targets(model, owner, received, weighed=True)


def check_targets(model: ImageModel, y, images, owner):
    """Raise unless targets that come with weights are the images.

    Args:
        model: A `GenerativeModel`.
        y: Array of targets.
        images: Array of images, checked or with NaN.
        owner: The call that received them, for error texts.

    Raises:
        ValueError: If a number differs in float32, which models compute with.
    """
    y, images = np.asarray(y), np.asarray(images)
    same = is_real(y) and np.array_equal(
        y.astype("float32"), images.astype("float32"), equal_nan=True
    )
    if not same:
        received = f"y of shape {y.shape} and dtype {y.dtype}, with other values"
        refuse_targets(model, owner, received, weighed=True)


def refuse_targets(model: ImageModel, owner, received, weighed=False):
    """Raise, and say where conditions belong.

    Args:
        model: A `GenerativeModel`.
        owner: The call that received targets.
        received: What they are.
        weighed: Whether they came with weights.

    Raises:
        ValueError: Always.
    """
    names = [tensor.name for tensor in model.inputs]
    if weighed:
        images = "inputs" if len(names) == 1 else f'inputs["{names[0]}"]'
        mend = (
            f"With weights, give the images in place of targets, for a data set "
            f"`.map(lambda inputs, y, weights: (inputs, {images}, weights))`."
        )
    elif len(names) == 1:
        mend = "Pass the images alone, for a data set `.map(lambda images, y: images)`."
    else:
        pairs = ", ".join(f'"{name}": {name}' for name in names)
        mend = (
            f"Pass conditions such as labels with the images, as one dict of the "
            f"inputs {names}, for a data set "
            f"`.map(lambda {', '.join(names)}: {{{pairs}}})`."
        )
    raise ValueError(
        f"{owner} takes no targets, since the images are the targets. {mend} Received: "
        f"{received}"
    )


def unpacked(data, model: ImageModel):
    """Return inputs, targets and weights of `validation_data`.

    A tuple of as many arrays as the model has inputs holds the inputs.

    Args:
        data: Inputs, a data source, or a tuple of inputs, targets and weights.
        model: A `GenerativeModel`.

    Returns:
        Inputs or a data source; targets or None; weights or None.
    """
    if isinstance(data, tuple) and len(data) <= 3:
        is_nested = isinstance(data[0], (dict, list, tuple)) if data else False
        if is_nested or len(data) != len(model.inputs):
            return keras.utils.unpack_x_y_sample_weight(data)
    return data, None, None


def without_tuple(element):
    """Return the inputs in an element of a data set, the first of a tuple."""
    return element[0] if isinstance(element, tuple) else element


def condition_arrays(model: ImageModel, conditions, num_images, image_shape=None):
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
    images_shape = (num_images, *(image_shape or model.image_shape))
    return [
        checked_condition(model, tensor, conditions[tensor.name], images_shape).astype(
            tensor.dtype
        )
        for tensor in inputs
    ]


def checked_condition(model: ImageModel, tensor, values, images_shape):
    """Return a condition as an array; raise if its shape or a value does not fit.

    Args:
        model: A `GenerativeModel`.
        tensor: The input, or `SAMPLE_WEIGHT`.
        values: Array or tensor.
        images_shape: `(num_images, height, width, colors)`.

    Raises:
        ValueError: If the shape differs from that of the input, or a value is out of
            range, see `in_range`.
    """
    values = as_array(tensor.name, values, model.name)
    values = with_shape(model, tensor, values, images_shape)
    check_condition_values(model, tensor, values)
    return values


def with_shape(model: ImageModel, tensor, values, images_shape):
    """Return a condition with the rank of its input; raise unless its shape fits.

    As in Keras, a last axis of size 1 may be missing or superfluous.

    Args:
        model: A `GenerativeModel`.
        tensor: The input, or `SAMPLE_WEIGHT`.
        values: Array or tensor.
        images_shape: See `check_condition_shape`.

    Raises:
        ValueError: If a known size differs.
    """
    rank = len(tensor.shape)
    if len(values.shape) == rank + 1 and values.shape[-1] == 1:
        values = values[..., 0]
    elif len(values.shape) == rank - 1 and tensor.shape[-1] == 1:
        values = values[..., None]
    check_condition_shape(model, tensor, values.shape, images_shape)
    return values


def check_condition_shape(model: ImageModel, tensor, shape, images_shape):
    """Raise unless a condition has the shape of its input.

    Args:
        model: A `GenerativeModel`.
        tensor: The input, or `SAMPLE_WEIGHT`.
        shape: Shape of the condition; None for unknown sizes.
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

    If the input has no size, any will do. The exception is a map of one row or
    column, which Keras would repeat for an image of more.

    Args:
        tensor: The input, `SAMPLE_WEIGHT` or `TARGETS`.
        shape: Shape of the condition: integers, None or scalar tensors.
        images_shape: Shape of the images, with the same kinds of sizes.
    """
    if tensor is TARGETS:
        return [*images_shape]
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


def check_condition_values(model: ImageModel, tensor, values):
    """Raise if a value of a condition is out of range.

    Args:
        model: A `GenerativeModel`.
        tensor: The input, or `SAMPLE_WEIGHT`.
        values: NumPy array.

    Raises:
        ValueError: If a value is out of range, see `in_range`.
    """
    if not is_real(values) or not np.all(in_range(model, tensor, values)):
        limits = _limits(model, tensor)
        needed = "finite numbers"
        if limits is not None:
            needed = f"integers from {limits[0]} to {limits[1]}"
            if tensor.name == LABEL and model.class_names:
                needed += f", for the classes {', '.join(model.class_names)}"
        # Others may have no order.
        shown = np.unique(values) if is_real(values) else values.ravel()
        raise ValueError(
            f"`{tensor.name}` of {model.name} must be {needed}. Received: "
            f"{shown[:20]}, dtype {values.dtype}"
        )


def in_range(model: ImageModel, tensor, values):
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


def checked_ranges(ranges, owner):
    """Return ranges of conditions as pairs by name.

    Args:
        ranges: Value received.
        owner: Name of the class that takes it, for the error text.

    Raises:
        ValueError: If it is not a dict of pairs of integers, the lowest first.
    """
    pairs: list[Any] = [*ranges.values()] if isinstance(ranges, dict) else [None]
    for pair in pairs:
        fits = isinstance(pair, (list, tuple)) and len(pair) == 2
        if not fits or not all(map(is_int, pair)) or pair[0] > pair[1]:
            raise ValueError(
                f"`condition_ranges` of {owner} must be a dict of two integers, "
                f"(lowest, highest), by name. Received: condition_ranges={ranges!r}"
            )
    return {name: (low, high) for name, (low, high) in ranges.items()}


def check_condition_ranges(model: ImageModel):
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


def checked_class_names(model: ImageModel, class_names: Any) -> tuple[str, ...]:
    """Return the names of a model's classes as a tuple.

    Args:
        model: A `GenerativeModel`, with its `condition_ranges`.
        class_names: Names of the classes that its input `"label"` numbers from 0.

    Raises:
        ValueError: If these are no names, or there is not one for each label.
    """
    owner = f"`class_names` of {model.name}"
    received = f"Received: class_names={class_names!r}"
    is_list = np.iterable(class_names) and not isinstance(class_names, str)
    names = tuple(class_names) if is_list else ()
    are_texts = all(isinstance(name, str) and name for name in names)
    if not names or not are_texts or len({*names}) < len(names):
        raise ValueError(
            f"{owner} must be a list of different texts, such as ['cat', 'dog']. "
            f"{received}"
        )
    lowest, highest = model.condition_ranges.get(LABEL, (None, 0))
    if lowest != 0:
        raise ValueError(
            f"{owner} are those of labels from 0, which the model does not have. Pass "
            f"num_classes={len(names)}, or for a graph of your own, with an input "
            f"'{LABEL}', condition_ranges={{'{LABEL}': (0, {len(names) - 1})}}. "
            f"{received}, condition_ranges={model.condition_ranges}"
        )
    if len(names) != highest + 1:
        raise ValueError(
            f"{owner} must be {highest + 1} names, one for each label from 0 to "
            f"{highest}. Received {len(names)}: {', '.join(names)}"
        )
    return tuple(map(str, names))


def _limits(model: ImageModel, tensor):
    """Return the smallest and the largest integer of an input, or None for floats."""
    check_condition_ranges(model)
    if tensor.name in model.condition_ranges:
        return model.condition_ranges[tensor.name]
    dtype = tf.as_dtype(tensor.dtype)
    if dtype.is_bool:
        return 0, 1
    return (dtype.min, dtype.max) if dtype.is_integer else None
