"""Grids of images or pixels, as arrays or PNG files, also side by side."""

import math
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from genimg_export.files import atomic_path
from keras_genimg.causality.fields import check_pixel
from keras_genimg.extras import optional
from keras_genimg.ops.checks import check_int, check_positive_int
from keras_genimg.types import PathLike

_DPI = 100
_MARGIN = 24  # Around a comparison and between its panels, in pixels.
_GAP = 10  # Between a title and its panel, in pixels.
# Colors of pixels in dependency fields.
_SEEN = (86, 142, 201)
_UNSEEN = (230, 230, 230)
_PIXEL = (226, 88, 54)


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


def save_comparison(
    path: PathLike,
    panels: dict[str, Any],
    columns: int | None = None,
    padding: int = 1,
    scale: int = 3,
) -> None:
    """Write grids of images side by side, with titles, as a PNG file.

    Each pixel becomes a crisp square of `scale` by `scale` pixels. The file is written
    atomically and replaces an existing one.

    Args:
        path: Path of the file, ending in `.png`.
        panels: Dict of images by title, from left to right; see `image_grid`. Number,
            size and colors of the images may differ between panels.
        columns: Images per row of each panel. `None` makes panels as square as
            possible.
        padding: Width of the white lines between images, in pixels of the file.
        scale: Pixels of the file per pixel of an image, along each axis.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If an argument is invalid.

    Example:
        >>> from keras_genimg.datasets import as_array, load
        >>> from keras_genimg.visualization import save_comparison
        >>> gray = as_array(load("digits", "test"))
        >>> binary = as_array(load("digits", "test", binarize="fixed")) * 255
        >>> save_comparison("digits.png", {"gray": gray[:16], "binary": binary[:16]})
    """
    path = check_suffix(path, ".png")
    _check_titled("panels", "images", panels)
    grids = []
    for title, images in panels.items():
        try:
            grid = image_grid(images, columns, padding, scale)
        except ValueError as error:
            raise ValueError(f"Panel {title!r}: {error}") from error
        grids.append(grid if grid.ndim == 3 else np.stack([grid] * 3, axis=-1))
    with optional("`save_comparison` needs matplotlib", "examples"):
        from matplotlib.figure import Figure

    # `pyplot` keeps global state and may need a display, so it is not used.
    figure = Figure(dpi=_DPI, facecolor="white")
    style = {"fontsize": 12, "color": "#202020", "parse_math": False}
    left = _MARGIN
    top = _MARGIN + max(map(len, grids))  # Panels are aligned here, from the bottom.
    title_height = 0
    for title, grid in zip(panels, grids, strict=True):
        text = figure.text(
            0, 0, title, ha="center", va="bottom", transform=None, **style
        )
        extent = text.get_window_extent()
        width = max(grid.shape[1], math.ceil(extent.width))
        text.set_position((left + width / 2, top + _GAP))
        # `figimage` copies pixels one to one, where `imshow` would resample them.
        x = left + (width - grid.shape[1]) // 2
        figure.figimage(grid, x, top - len(grid), origin="upper")
        left += width + _MARGIN
        title_height = max(title_height, math.ceil(extent.height))
    height = top + _GAP + title_height + _MARGIN
    figure.set_size_inches(left / _DPI, height / _DPI)
    with atomic_path(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=_DPI)


def save_dependency_fields(
    path: PathLike, fields: dict[str, Any], pixel: Sequence[int], scale: int = 16
) -> None:
    """Draw dependency fields side by side, with titles, as a PNG file.

    The pixel itself is red, pixels that influence it are blue, others light gray. The
    file is written atomically and replaces an existing one.

    Args:
        path: Path of the file, ending in `.png`.
        fields: Dict of boolean arrays `(height, width)` by title, from left to right.
            Their sizes may differ.
        pixel: `(row, column)` of the output that the fields belong to.
        scale: Pixels of the file per pixel of a field, along each axis.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If an argument is invalid.

    Example:
        >>> inputs = keras.Input((9, 13, 1))
        >>> layers = {"Row LSTM": RowLSTM(8), "Diagonal BiLSTM": DiagonalBiLSTM(8)}
        >>> fields = {
        ...     title: dependency_field(keras.Model(inputs, layer(inputs)), (5, 6))
        ...     for title, layer in layers.items()
        ... }
        >>> save_dependency_fields("fields.png", fields, pixel=(5, 6))

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, figure 2, https://arxiv.org/abs/1601.06759
    """
    _check_titled("fields", "fields", fields)
    panels = {}
    for title, field in fields.items():
        field = np.asarray(field)
        if field.ndim != 2 or field.dtype != bool:
            raise ValueError(
                f"Field {title!r} must be a boolean array (height, width). Received: "
                f"shape={field.shape}, dtype={field.dtype}"
            )
        check_pixel(pixel, field.shape)
        cells = np.where(field[..., None], _SEEN, _UNSEEN).astype("uint8")
        cells[tuple(pixel)] = _PIXEL
        cells = cells.reshape(-1, 1, 1, 3)
        panels[title] = image_grid(cells, columns=field.shape[1], scale=scale)[None]
    save_comparison(path, panels, scale=1)


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


def _check_titled(name, kind, values):
    """Raise unless an argument is a dict of some kind of arrays by title."""
    if not isinstance(values, dict) or not values:
        raise ValueError(
            f"`{name}` must be a dict of {kind} by title, with at least one entry. "
            f"Received: {name}={values!r}"
        )
