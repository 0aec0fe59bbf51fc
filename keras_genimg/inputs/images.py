"""Checks of images and conditions, at the call that receives them."""

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.inputs.conditions import check_conditions
from keras_genimg.inputs.torch_loader import is_torch_loader, loader_dataset
from keras_genimg.ops.checks import check_image_shape


def images_of(x, model):
    """Return the images among a model's inputs, which are its first input.

    Args:
        x: Images; or, for a model with more inputs, a list or tuple in the order of
            `model.inputs`, or a dict by input name.
        model: The model that takes `x`.

    Raises:
        ValueError: If `x` does not hold the inputs of `model`.
    """
    return inputs_by_name(x, model)[model.inputs[0].name]


def inputs_by_name(x, model):
    """Return a model's inputs as a dict in the order of `model.inputs`.

    Args:
        x: Images; or, for a model with more inputs, a list or tuple in the order of
            `model.inputs`, or a dict by input name.
        model: The model that takes `x`.

    Raises:
        ValueError: If `x` does not hold the inputs of `model`.
    """
    names = [tensor.name for tensor in model.inputs]
    if isinstance(x, dict) and set(x) == set(names):
        return {name: x[name] for name in names}
    if isinstance(x, (list, tuple)) and len(x) == len(names):
        return dict(zip(names, x, strict=True))
    if len(names) == 1 and not isinstance(x, (dict, list, tuple)):
        return {names[0]: x}
    received = sorted(x) if isinstance(x, dict) else type(x).__name__
    raise ValueError(
        f"{model.name} takes the inputs {names}, in this order or as a dict by name. "
        f"Received: {received}"
    )


def like(x, inputs):
    """Return the dict `inputs` in the structure of `x`; a single input as a tensor."""
    values = list(inputs.values())
    if len(values) == 1:
        return values[0]
    return inputs if isinstance(x, dict) else values


def checked_inputs(x, model, owner, in_steps=False):
    """Validate inputs to `fit`, `log_prob` and similar methods.

    Arrays and tensors are checked completely, a `tf.data.Dataset` only by its element
    spec. The caller must check the batches of data sources: `StepCheck` does so in
    training steps, `check_values` on the host.

    Args:
        x: Images and conditions as arrays, or a data source that Keras reads.
        model: A `GenerativeModel`.
        owner: The call that received `x`, for error texts.
        in_steps: Whether Keras will read `x`, which can then be any source that Keras
            supports. Otherwise, `x` must be arrays, a `tf.data.Dataset` or a PyTorch
            `DataLoader`.

    Returns:
        `x`, with lists converted to NumPy arrays, and a PyTorch `DataLoader` to a
        `tf.data.Dataset`.

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
    images_of(x, model)
    if isinstance(x, (dict, list, tuple)):
        x = tf.nest.map_structure(np.asarray, x)
    else:
        received = type(x).__name__
        x = np.asarray(x)
        if x.dtype == object:
            raise ValueError(
                f"{owner} cannot read a {received}. Pass an array, a tf.data.Dataset, "
                f"a keras.utils.PyDataset, a PyTorch DataLoader, or a generator of "
                f"1-tuples, such as ((batch,) for batch in data). Received: {received}"
            )
    images = images_of(x, model)
    check_values(x, model, owner)
    if len(images) == 0:
        raise ValueError(f"{owner} received no images: shape={images.shape}")
    return x


def check_values(x, model, owner):
    """Raise if a shape does not fit, or a pixel or a condition is out of range.

    Args:
        x: Inputs of the model as arrays or eager tensors, see `images_of`.
        model: A `GenerativeModel`.
        owner: The call that received them, for error texts.

    Raises:
        ValueError: If a shape or a value does not fit.
    """
    inputs = inputs_by_name(x, model)
    images, *conditions = (np.asarray(value) for value in inputs.values())
    check_shape(images.shape, model, owner)
    model.likelihood.check_images(images, owner)
    check_conditions(model, conditions, images.shape)
    model._check_together(images, conditions, owner)


def check_shape(shape, model, owner):
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


def known_image_shape(x, model):
    """Return the shape of the images in `x`, with None for unknown sizes.

    Args:
        x: Result of `checked_inputs`.
        model: A `GenerativeModel`.

    Returns:
        `(height, width, colors)`.
    """
    if isinstance(x, tf.data.Dataset):
        x = inputs_of(x.element_spec)
    elif not isinstance(x, (np.ndarray, dict, list, tuple)):
        return model.image_shape
    shape = tf.TensorShape(images_of(x, model).shape)
    known = tf.TensorShape((None, *model.image_shape)).merge_with(shape)
    return tuple(known[1:])


def sized_image_shape(model, image_size, owner):
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


def _check_dataset(dataset, model, owner, in_steps):
    """Raise if a data set is empty or its elements are not batches of inputs.

    Raises:
        ValueError: If the element spec does not fit.
    """
    if int(dataset.cardinality()) == 0:
        raise ValueError(f"{owner} received an empty data set: {dataset}")
    element = dataset.element_spec
    if isinstance(element, tuple) and len(element) > 1:
        received = f"a data set whose elements are {len(element)}-tuples: {element}"
        refuse_targets(model, owner, received)
    specs = inputs_by_name(inputs_of(element), model).values()
    unknown = any(spec.shape.rank is None for spec in specs)
    if in_steps and unknown:  # Which Keras cannot read.
        raise ValueError(
            f"{owner} needs to know the number of axes of each input. Tell them with "
            f"`dataset.map(lambda images: tf.ensure_shape(images, (None, height, width,"
            f" colors)))`. Received: a data set with elements {element}"
        )
    images, *_ = specs
    check_shape(images.shape, model, owner)


def refuse_targets(model, owner, received):
    """Raise, and say where conditions belong.

    Raises:
        ValueError: Always.
    """
    names = [tensor.name for tensor in model.inputs]
    if len(names) == 1:
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


def inputs_of(element):
    """Return the inputs in an element of a data set, which may be a 1-tuple of them."""
    return element[0] if isinstance(element, tuple) else element
