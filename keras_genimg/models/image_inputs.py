"""Checks of the images that a model is given, at the call that gives them."""

import keras
import numpy as np
import tensorflow as tf


def images_of(x, model):
    """Return the images among a model's inputs, which are its first input.

    Args:
        x: Images; or, for a model with more inputs, a list or tuple in the order of
            `model.inputs`, or a dict by input name.
        model: The model that takes `x`.

    Raises:
        ValueError: If `x` does not hold the inputs of `model`.
    """
    names = [tensor.name for tensor in model.inputs]
    if isinstance(x, dict) and set(x) == set(names):
        return x[names[0]]
    if isinstance(x, (list, tuple)) and len(x) == len(names):
        return x[0]
    if len(names) == 1 and not isinstance(x, (dict, list, tuple)):
        return x
    received = sorted(x) if isinstance(x, dict) else type(x).__name__
    raise ValueError(
        f"{model.name} takes the inputs {names}, in this order or as a dict by name. "
        f"Received: {received}"
    )


def checked_inputs(x, model, owner):
    """Return what `fit` and its kind were given, checked.

    Arrays and tensors are checked at once. A `tf.data.Dataset` is checked as far as
    its element spec tells, and its pixels as they pass. Other sources go unchecked.

    Args:
        x: Images and further inputs as arrays, or a data source that Keras reads.
        model: A `GenerativeModel`.
        owner: The call that received `x`, for error texts.

    Returns:
        `x`, with lists and the like as NumPy arrays.

    Raises:
        ValueError: If there are no images, or their shape or pixels do not fit.
    """
    if isinstance(x, tf.data.Dataset):
        return _checked_dataset(x, model, owner)
    if isinstance(x, (keras.utils.PyDataset, tf.distribute.DistributedDataset)):
        return x
    if hasattr(x, "__next__"):
        return x
    images_of(x, model)
    if isinstance(x, (dict, list, tuple)):
        x = tf.nest.map_structure(np.asarray, x)
    else:
        x = np.asarray(x)
    images = images_of(x, model)
    check_shape(images.shape, model, owner)
    if len(images) == 0:
        raise ValueError(f"{owner} received no images: shape={images.shape}")
    model.likelihood.check_images(images, owner)
    return x


def check_shape(shape, model, owner):
    """Raise unless `shape` is that of a batch of the model's images.

    Raises:
        ValueError: If rank, height, width or number of colours disagree.
    """
    expected = model.image_shape
    fits = len(shape) == 4 and all(
        want is None or have is None or want == have
        for want, have in zip(expected, tuple(shape)[1:], strict=True)
    )
    if not fits:
        hint = " Add the colour axis with images[..., None]." if len(shape) == 3 else ""
        raise ValueError(
            f"{owner} expects images of shape (batch, height, width, colors) = "
            f"{(None, *expected)}.{hint} Received: shape={tuple(shape)}"
        )


def known_image_shape(x, model):
    """Return the shape of the images in `x`, with None where it cannot be told.

    Args:
        x: What `checked_inputs` returned.
        model: A `GenerativeModel`.

    Returns:
        `(height, width, colors)`.
    """
    if None not in model.image_shape:
        return model.image_shape
    if isinstance(x, tf.data.Dataset):
        x = inputs_of(x.element_spec)
    elif not isinstance(x, (np.ndarray, dict, list, tuple)):
        return model.image_shape
    shape = tf.TensorShape(images_of(x, model).shape)
    known = tf.TensorShape((None, *model.image_shape)).merge_with(shape)
    return tuple(known[1:])


def _checked_dataset(dataset, model, owner):
    if int(dataset.cardinality()) == 0:
        raise ValueError(f"{owner} received an empty data set: {dataset}")
    element = dataset.element_spec
    if isinstance(element, tuple) and len(element) > 1:
        raise ValueError(
            f"{owner} takes no targets, since the images are the targets. Received a "
            f"data set whose elements are {len(element)}-tuples: {element}"
        )
    spec = images_of(inputs_of(element), model)
    if spec.shape.rank is not None:
        check_shape(spec.shape, model, owner)
    likelihood = model.likelihood

    def check(*element):
        element = element if len(element) > 1 else element[0]
        images = images_of(inputs_of(element), model)
        tf.debugging.Assert(
            tf.reduce_all(likelihood.in_range(images)),
            [
                f"{owner} expects pixels that are {likelihood.pixel_range}, the range "
                f"of {likelihood}. Received values from",
                tf.reduce_min(images),
                "to",
                tf.reduce_max(images),
            ],
        )
        return element

    checked = dataset.map(check, num_parallel_calls=tf.data.AUTOTUNE)
    return checked.prefetch(tf.data.AUTOTUNE)


def inputs_of(element):
    """Return the inputs in an element of a data set, which may be a 1-tuple of them."""
    return element[0] if isinstance(element, tuple) else element


def checked_completion(images, known, model):
    """Return images and masks of known pixels as `complete` needs them.

    Args:
        images: Images, known pixels in the likelihood's own range.
        known: `(num_images, height, width)` or `(height, width)`, 0 or 1.
        model: A `GenerativeModel`.

    Returns:
        Two float32 arrays of the shape of `images`; unknown pixels are 0.

    Raises:
        ValueError: If a shape or a value is not as described.
    """
    owner = f"{model.name}.complete"
    images, known = np.asarray(images), np.asarray(known)
    check_shape(images.shape, model, owner)
    if len(images) == 0:
        raise ValueError(f"{owner} received no images: shape={images.shape}")
    if known.shape not in (images.shape[:3], images.shape[1:3]):
        raise ValueError(
            f"`known` of {owner} must have the shape {images.shape[:3]} or "
            f"{images.shape[1:3]}. Received: shape={known.shape}"
        )
    if not np.isin(known, (0, 1)).all():
        raise ValueError(
            f"`known` of {owner} must be 0 or 1 everywhere. Received: values "
            f"{np.unique(known)[:10]}"
        )
    known = np.broadcast_to((known == 1)[..., None], images.shape)
    model.likelihood.check_images(images[known], owner)
    images = np.where(known, images, 0)
    return images.astype("float32"), known.astype("float32")
