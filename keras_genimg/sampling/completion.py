"""Completion of images: checks the arguments of `complete`, and runs it."""

import numpy as np

from keras_genimg.inputs.calls import draw_images
from keras_genimg.inputs.conditions import condition_arrays
from keras_genimg.inputs.images import check_shape
from keras_genimg.inputs.seeds import image_seeds
from keras_genimg.ops.checks import check_positive_int


def completions(
    model,
    images,
    known,
    *,
    seed,
    conditions,
    num_candidates,
    temperature,
    method,
    jit_compile,
    batch_size,
    verbose,
):
    """Complete images.

    Args:
        model: An `AutoregressiveModel`.
        images: See `AutoregressiveModel.complete`, which takes the same arguments.
        known: See `complete`.
        seed: See `complete`.
        conditions: See `complete`.
        num_candidates: See `complete`.
        temperature: See `complete`.
        method: See `complete`.
        jit_compile: See `complete`.
        batch_size: See `complete`.
        verbose: See `complete`.

    Returns:
        NumPy arrays: the completed images, and effective sample sizes, float32 of shape
        `(num_images,)`.

    Raises:
        ValueError: If an argument is not as described.
    """
    num_candidates = check_positive_int("num_candidates", num_candidates, "complete")
    batch_size = check_positive_int("batch_size", batch_size, "complete")
    images, known = checked_completion(images, known, model)
    shape = images.shape[1:]
    draw = model._draw_function(
        method, temperature, shape[:2], jit_compile, num_candidates
    )
    conditions = condition_arrays(model, conditions, len(images), shape)
    images, known = model._known(images, known, conditions)
    inputs = [image_seeds(len(images), seed), images, known, *conditions]
    note, cost = model._drawing_cost(method, shape)
    batch_size, cost = max(1, batch_size // num_candidates), cost * num_candidates
    return draw_images(model, draw, inputs, batch_size, verbose, "complete", note, cost)


def checked_completion(images, known, model):
    """Validate the images and the masks of `complete`.

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
