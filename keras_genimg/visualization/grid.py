"""Grids of images, as arrays or PNG files."""

import math

import numpy as np
from numpy.typing import ArrayLike

from keras_genimg.extras import install_hint
from keras_genimg.files import atomic_path
from keras_genimg.ops.checks import check_int, check_positive_int
from keras_genimg.types import PathLike
from keras_genimg.visualization.checks import check_images, check_suffix


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
    check_positive_int("columns", columns)
    check_int("padding", padding, smallest=0)
    check_positive_int("scale", scale)

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
        path: Path of the file, ending in `.png`.
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
    path = check_suffix(path, ".png")
    grid = image_grid(images, columns, padding, scale)
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"`save_grid` needs Pillow: {install_hint('examples')}"
        ) from error
    with atomic_path(path) as unfinished:
        Image.fromarray(grid).save(unfinished, format="PNG")
