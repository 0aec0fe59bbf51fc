"""Checks of the arguments of `complete`."""

import numpy as np

from keras_genimg.inputs.images import check_shape


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
