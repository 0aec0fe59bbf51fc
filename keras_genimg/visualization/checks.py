"""Checks of images and of the paths of pictures."""

import pathlib

import numpy as np


def check_images(name, images, axes=("images", "height", "width", "colors")):
    """Return images as an array, or raise if they are not displayable.

    Args:
        name: Name of the argument, for the error text.
        images: Value received.
        axes: Names of the axes. The last must have 1 or 3 entries.

    Raises:
        ValueError: If `images` has another rank or dtype, or no pixels.
    """
    images = np.asarray(images)
    is_batch = images.ndim == len(axes) and images.shape[-1] in (1, 3)
    if not is_batch or images.dtype != np.uint8 or images.size == 0:
        raise ValueError(
            f"`{name}` must be uint8 of shape ({', '.join(axes)}), with 1 or 3 colors "
            f"and at least one pixel. Received: shape={images.shape}, "
            f"dtype={images.dtype}"
        )
    return images


def check_suffix(path, suffix):
    """Return `path` as a `pathlib.Path`, or raise if it does not end in `suffix`.

    Args:
        path: Path of the picture.
        suffix: Suffix required, in lower case, such as `".png"`.

    Raises:
        ValueError: If it does not.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() != suffix:
        raise ValueError(f"`path` must end in {suffix}. Received: path={str(path)!r}")
    return path
