"""Grids of images side by side, with titles."""

import math
from typing import Any

import numpy as np

from keras_genimg.extras import optional
from keras_genimg.files import atomic_path
from keras_genimg.types import PathLike
from keras_genimg.visualization.grid import check_suffix, image_grid

_DPI = 100
_MARGIN = 24  # Around the figure and between panels, in pixels.
_GAP = 10  # Between a title and its panel, in pixels.


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
    if not isinstance(panels, dict) or not panels:
        raise ValueError(
            "`panels` must be a dict of images by title, with at least one entry. "
            f"Received: panels={panels!r}"
        )
    grids = []
    for title, images in panels.items():
        try:
            grid = image_grid(images, columns, padding, scale)
        except ValueError as error:
            raise ValueError(f"Panel {title!r}: {error}") from error
        grids.append(grid if grid.ndim == 3 else np.stack([grid] * 3, axis=-1))
    with optional("`save_comparison` needs matplotlib", "examples"):
        from matplotlib.figure import Figure

    # Without pyplot, which keeps global state and may need a display.
    figure = Figure(dpi=_DPI, facecolor="white")
    style = {"fontsize": 12, "color": "#202020", "parse_math": False}
    titles = [
        figure.text(0, 0, title, ha="center", va="bottom", transform=None, **style)
        for title in panels
    ]
    extents = [title.get_window_extent() for title in titles]
    title_height = math.ceil(max(extent.height for extent in extents))
    widths = [
        max(grid.shape[1], math.ceil(extent.width))
        for grid, extent in zip(grids, extents, strict=True)
    ]
    tallest = max(len(grid) for grid in grids)
    width = sum(widths) + _MARGIN * (len(grids) + 1)
    height = tallest + _GAP + title_height + 2 * _MARGIN
    figure.set_size_inches(width / _DPI, height / _DPI)

    left = _MARGIN
    top = _MARGIN + tallest  # Panels are aligned here; the origin is at the bottom.
    for grid, title, panel_width in zip(grids, titles, widths, strict=True):
        # `figimage` copies pixels one to one, where `imshow` would resample them.
        x = left + (panel_width - grid.shape[1]) // 2
        figure.figimage(grid, x, top - len(grid), origin="upper")
        title.set_position((left + panel_width / 2, top + _GAP))
        left += panel_width + _MARGIN
    with atomic_path(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=_DPI)
