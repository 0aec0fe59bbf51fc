"""Grids of images, as arrays or PNG files."""

import math
import pathlib

import numpy as np
from numpy.typing import ArrayLike

from keras_genimg.extras import optional
from keras_genimg.files import atomic_path
from keras_genimg.ops.checks import check_int, check_positive_int
from keras_genimg.types import PathLike


def image_grid(
    images: ArrayLike, columns: int | None = None, padding: int = 1, scale: int = 1
) -> np.ndarray:
    """Return images laid out in rows, with white lines between them.

    Args:
        images: Displayable images, `uint8` in 0..255, of shape `(images, height,
            width, colors)` with 1 or 3 colors. Multiply images in {0, 1} by 255.
        columns: Images per row. `None` makes the grid as square as possible.
        padding: Width of the white lines between images, in pixels of the result.
        scale: Pixels of the result per pixel of an image, along each axis.

    Returns:
        A `uint8` array of shape `(rows * (height * scale + padding) - padding, columns
        * (width * scale + padding) - padding)`, with a last axis of 3 if the images
        have 3 colors. Cells without an image are white.

    Raises:
        ValueError: If `images` has another shape or type or is empty, or `columns`,
            `padding` or `scale` is out of range.

    Example:
        >>> import numpy as np
        >>> from keras_genimg.visualization import image_grid
        >>> image_grid(np.zeros((6, 8, 8, 1), "uint8"), columns=3).shape
        (17, 26)
    """
    images = check_images("images", images)
    columns = math.ceil(math.sqrt(len(images))) if columns is None else columns
    columns = check_positive_int("columns", columns)
    padding = check_int("padding", padding, smallest=0)
    scale = check_positive_int("scale", scale)

    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    rows = math.ceil(len(images) / columns)
    margins = [(0, rows * columns - len(images)), (0, padding), (0, padding), (0, 0)]
    cells = np.pad(images, margins, constant_values=255)
    _, height, width, colors = cells.shape
    # (rows, columns, height, width, colors) -> (rows, height, columns, width, colors)
    cells = cells.reshape(rows, columns, height, width, colors).swapaxes(1, 2)
    grid = cells.reshape(rows * height, columns * width, colors)
    grid = grid[: rows * height - padding, : columns * width - padding]
    return grid[..., 0] if colors == 1 else grid


def save_grid(
    path: PathLike,
    images: ArrayLike,
    columns: int | None = None,
    padding: int = 1,
    scale: int = 1,
) -> None:
    """Write a grid of images as a PNG file.

    The file is written atomically and replaces an existing one.

    Args:
        path: Path of the file, ending in `.png`. Its folder is made if need be.
        images: Displayable images, see `image_grid`.
        columns: Images per row. `None` makes the grid as square as possible.
        padding: Width of the white lines between images, in pixels of the file.
        scale: Pixels of the file per pixel of an image, along each axis.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If an argument is invalid.

    Example:
        >>> from keras_genimg.datasets import as_array, load
        >>> from keras_genimg.visualization import save_grid
        >>> save_grid("digits.png", as_array(load("digits", "test")), scale=4)
    """
    save_picture(path, image_grid(images, columns, padding, scale))


def save_picture(path, picture):
    """Write an array as a PNG file, atomically.

    Args:
        path: Path of the file, ending in `.png`. Its folder is made if need be.
        picture: `uint8` of shape `(height, width)` or `(height, width, 3)`.
    """
    path = check_suffix(path, ".png")
    with optional("PNG files need Pillow", "examples"):
        from PIL import Image
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as unfinished:
        Image.fromarray(picture).save(unfinished, format="PNG")


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
