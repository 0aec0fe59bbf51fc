"""Check of the images and masks that `complete` receives."""

import numpy as np
from numpy.typing import ArrayLike

from keras_genimg.inputs.calls import eager_task
from keras_genimg.inputs.images import check_shape
from keras_genimg.model_types import PixelModel
from keras_genimg.ops.checks import as_array, is_real
from keras_genimg.types import Array


def checked_completion(
    images: ArrayLike, known: ArrayLike, model: PixelModel
) -> tuple[Array, Array]:
    """Validate the images and the masks of `complete`.

    Unknown pixels become 0. Both get the shape of `images`, in float32.
    """
    owner = eager_task(model, "complete")
    images = as_array("images", images, owner)
    known = as_array("known", known, owner)
    check_shape(images.shape, model, owner)
    if len(images) == 0:
        raise ValueError(f"{owner} received no images: shape={images.shape}")
    if known.shape not in (images.shape[:3], images.shape[1:3]):
        raise ValueError(
            f"`known` of {owner} must have the shape {images.shape[:3]} or "
            f"{images.shape[1:3]}. Received: shape={known.shape}"
        )
    if not is_real(known) or not np.isin(known, (0, 1)).all():
        shown = np.unique(known) if is_real(known) else known.ravel()
        raise ValueError(
            f"`known` of {owner} must be 0 or 1 everywhere. Received: values "
            f"{shown[:10]}"
        )
    known = np.broadcast_to((known == 1)[..., None], images.shape)
    model.likelihood.check_images(images[known], owner)
    images = np.where(known, images, 0)
    return images.astype("float32"), known.astype("float32")
