"""Many images in one, as an array or as a PNG file."""

import math

import numpy as np

from keras_genimg.extras import install_hint
from keras_genimg.visualization.checks import check_images, check_int
from keras_genimg.visualization.picture_file import check_suffix, replace_file


def image_grid(images, columns=None, padding=1, scale=1):
    """Return images laid out in rows, with white between them.

    Args:
        images: Displayable images, `uint8` in 0..255, of shape `(images, height,
            width, colors)` with 1 or 3 colours. Multiply images in {0, 1} by 255.
        columns: Images in a row. `None` takes the smallest square that holds all.
        padding: Width of the white lines between images, in pixels of the result.
        scale: Side of the square of pixels that each pixel of an image becomes.

    Returns:
        A `uint8` array of shape `(rows * (height * scale + padding) - padding, columns
        * (width * scale + padding) - padding)`, with a last axis of 3 if the images
        have colours. Cells without an image are white.

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
    check_int("columns", columns, 1)
    check_int("padding", padding, 0)
    check_int("scale", scale, 1)

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


def save_grid(path, images, columns=None, padding=1, scale=1):
    """Write images laid out in rows as a PNG file.

    The file appears complete or not at all, and replaces one that is there.

    Args:
        path: Where to write, ending in `.png`.
        images: As `image_grid` takes them, and so are the other arguments.
        columns: Images in a row. `None` takes the smallest square that holds all.
        padding: Width of the white lines between images, in pixels of the file.
        scale: Side of the square of pixels that each pixel of an image becomes.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If `path` does not end in `.png`, or `image_grid` refuses the rest.

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
    replace_file(path, lambda file: Image.fromarray(grid).save(file, format="PNG"))
