"""Animations of DRAW's canvases, and the boxes that its attention reads or writes."""

import numbers

import numpy as np
from numpy.typing import ArrayLike

from keras_genimg.extras import optional
from keras_genimg.files import atomic_path
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.types import PathLike
from keras_genimg.visualization.grid import check_images, check_suffix, image_grid

_RED = (255, 0, 0)
_WHITE = 255  # Palette index of the background of `image_grid`.
_PADDING = 2  # Between images, in pixels of the file.
_GAP = 24  # Between grids.


def attention_box(attention: ArrayLike, size: int) -> np.ndarray:
    """Return the boxes around grids of attention filters.

    The centers of `size` by `size` filters are `center + (i - (size - 1) / 2) * stride`
    for `i` from 0 to `size - 1`. The box encloses the pixels at the outermost centers,
    so it extends half a pixel further and is never smaller than a pixel. It can extend
    beyond the image or lie outside.

    Args:
        attention: Finite numbers of shape `(..., 5)`: `center_x`, `center_y`, `stride`,
            `sigma` and `gamma`, in pixels. Integers are centers of pixels: 0 is the
            center of the first column or row.
        size: Number of filters along each axis.

    Returns:
        Float64 array of shape `(..., 4)`: left, top, right and bottom, in pixels.
        Integers are edges of pixels: an image extends from 0 to its width or height.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> attention_box([13.5, 13.5, 9.0, 1.0, 1.0], size=4)
        array([ 0.,  0., 28., 28.])

    References:
        Gregor et al., DRAW: A Recurrent Neural Network For Image Generation, 2015,
        section 3.2 and figure 3, https://arxiv.org/abs/1502.04623
    """
    attention = np.asarray(attention, "float64")
    check_positive_int("size", size)
    if attention.ndim == 0 or attention.shape[-1] != 5:
        raise ValueError(
            "`attention` must end in 5 numbers: center_x, center_y, stride, sigma, "
            f"gamma. Received: shape={attention.shape}"
        )
    if not np.isfinite(attention).all():
        odd = attention[~np.isfinite(attention)]
        raise ValueError(f"`attention` must be finite. Received: {odd[0]}")
    x, y, stride = attention[..., 0], attention[..., 1], attention[..., 2]
    reach = (size - 1) / 2 * np.abs(stride)
    # From the center of a pixel to its edges: half a pixel, and edges count from 0.
    return np.stack([x - reach, y - reach, x + reach + 1, y + reach + 1], axis=-1)


def save_canvases(
    path: PathLike,
    canvases: ArrayLike,
    write_attention: ArrayLike | None = None,
    write_size: int | None = None,
    images: ArrayLike | None = None,
    read_attention: ArrayLike | None = None,
    read_size: int | None = None,
    columns: int | None = None,
    scale: int = 4,
    seconds_per_frame: float = 0.1,
    hold_seconds: float = 1.5,
) -> None:
    """Animate DRAW's canvases, glimpse by glimpse, as a GIF file.

    Each frame is a grid of all canvases after one glimpse, with a red box around the
    pixels that the glimpse wrote. With `images`, a second grid on the left shows the
    images, with a red box around the pixels that the glimpse read.

    Boxes are computed by `attention_box` and clipped to the image. Lines grow inwards.
    Their width is half the standard deviation of the filters, at least a pixel of the
    file, and at most a quarter of the box or a sixteenth of the image.

    Gray levels and the red of the boxes are exact. Other colors are the nearest in one
    palette for the whole animation. A GIF has 256 colors: with boxes and pixels of all
    256 grays, the rarest gray is drawn one level off. Consecutive equal frames are
    merged and shown for their total time. The animation loops forever. The file is
    written atomically and replaces an existing one.

    Args:
        path: Path of the file, ending in `.gif`.
        canvases: Displayable images, `uint8` in 0..255, of shape `(images, glimpses,
            height, width, colors)` with 1 or 3 colors.
        write_attention: Attention of shape `(images, glimpses, 5)`, see
            `attention_box`.
        write_size: Number of filters along each axis of the write attention.
        images: Displayable images of shape `(images, height, width, colors)` that DRAW
            reads.
        read_attention: Attention of shape `(images, glimpses, 5)`, see `attention_box`.
        read_size: Number of filters along each axis of the read attention.
        columns: Images per row of each grid. `None` makes grids as square as possible.
        scale: Pixels of the file per pixel of an image, along each axis.
        seconds_per_frame: Time per glimpse, rounded to 1/100 s.
        hold_seconds: Time for the last glimpse, rounded to 1/100 s.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If an argument is invalid, or attention is given without its size or
            images.

    Example:
        >>> canvases = np.zeros((1, 6, 28, 28, 1), "uint8")
        >>> attention = [[(3 + 4 * step, 14, 1.5, 1, 1) for step in range(6)]]
        >>> save_canvases("draw.gif", canvases, attention, write_size=5)

    References:
        Gregor et al., DRAW: A Recurrent Neural Network For Image Generation, 2015,
        figure 1, https://arxiv.org/abs/1502.04623
    """
    path = check_suffix(path, ".gif")
    axes = ("images", "glimpses", "height", "width", "colors")
    canvases = check_images("canvases", canvases, axes)
    scale = check_positive_int("scale", scale)
    durations = [_milliseconds("seconds_per_frame", seconds_per_frame)]
    durations *= canvases.shape[1]
    durations[-1] = _milliseconds("hold_seconds", hold_seconds)
    panels = [canvases]
    boxes = [_boxes("write", write_attention, write_size, canvases.shape, scale)]
    read_boxes = _boxes("read", read_attention, read_size, canvases.shape, scale)
    if images is not None:
        images = check_images("images", images)
        if images.shape != canvases.shape[:1] + canvases.shape[2:]:
            raise ValueError(
                "`images` must have the same number, size and colors as `canvases`, "
                f"whose shape is {canvases.shape}. Received: shape={images.shape}"
            )
        panels.insert(0, np.broadcast_to(images[:, None], canvases.shape))
        boxes.insert(0, read_boxes)
    elif read_boxes is not None:
        raise ValueError("`read_attention` needs `images` to be drawn on.")
    with optional("`save_canvases` needs Pillow", "examples"):
        from PIL import Image

    # Palette indices, (panels, images, glimpses, height, width). `image_grid` lays them
    # out as if they were gray levels.
    panels = np.stack(panels)
    has_boxes = any(box is not None for box in boxes)
    indexed = _index_gray if panels.shape[-1] == 1 else _index_colors
    panels, palette, red = indexed(panels, has_boxes)
    pages = []
    for step in range(panels.shape[2]):
        grids = []
        for cells, panel_boxes in zip(panels[:, :, step], boxes, strict=True):
            cells = cells.repeat(scale, axis=1).repeat(scale, axis=2)
            if panel_boxes is not None:
                for cell, box in zip(cells, panel_boxes[:, step], strict=True):
                    _draw_box(cell, box, red)
            grids.append(image_grid(cells[..., None], columns, _PADDING))
        page = np.stack(grids)[..., None]
        page = Image.fromarray(image_grid(page, len(grids), _GAP))
        page.putpalette(palette.tobytes())
        pages.append(page)
    with atomic_path(path) as unfinished:
        pages[0].save(
            unfinished,
            format="GIF",
            save_all=True,
            append_images=pages[1:],
            duration=durations,
            loop=0,
        )


def _boxes(kind, attention, size, shape, scale):
    """Return boxes and line widths in pixels of the scaled image.

    Returns:
        Integers of shape `(images, glimpses, 5)`: left, top, right, bottom and line
        width; or `None` without attention.
    """
    name = f"{kind}_attention"
    if attention is None and size is None:
        return None
    if attention is None or size is None:
        raise ValueError(
            f"`{name}` and `{kind}_size` must be given together. Received: "
            f"{kind}_size={size!r}, "
            f"{name}={'None' if attention is None else 'an array'}"
        )
    attention = np.asarray(attention, "float64")
    if attention.shape != (*shape[:2], 5):
        raise ValueError(
            f"`{name}` must have the shape (images, glimpses, 5), {(*shape[:2], 5)} "
            f"for canvases of shape {shape}. Received: shape={attention.shape}"
        )
    try:
        edges = attention_box(attention, size)
    except ValueError as error:
        raise ValueError(f"`{name}`, `{kind}_size`: {error}") from error
    height, width = (length * scale for length in shape[2:4])
    # Not np.round: rounding half to even could make a box narrower than a pixel.
    edges = np.floor(np.clip(edges * scale, 0, [width, height, width, height]) + 0.5)
    sides = edges[..., 2:] - edges[..., :2]
    thickest = np.minimum(sides.min(axis=-1) // 4, min(height, width) // 16)
    lines = np.minimum(np.round(attention[..., 3] * scale / 2), thickest)
    boxes = np.concatenate([edges, lines.clip(1)[..., None]], axis=-1)
    return boxes.astype(int)


def _draw_box(cell, box, color):
    left, top, right, bottom, line = box
    inside = cell[top:bottom, left:right]  # A view; empty if the box lies outside.
    inside[:line] = inside[-line:] = color
    inside[:, :line] = inside[:, -line:] = color


def _index_gray(panels, has_boxes):
    """Return panels as palette indices, the palette, and the index of red."""
    palette = np.arange(256, dtype="uint8")[:, None].repeat(3, axis=1)
    panels = panels[..., 0]
    if not has_boxes:
        return panels, palette, None
    # Red replaces an unused gray, or else the rarest.
    red = np.bincount(panels.ravel(), minlength=256)[:_WHITE].argmin()
    palette[red] = _RED
    neighbor = np.uint8(red - 1 if red else 1)
    return np.where(panels == red, neighbor, panels), palette, red


def _index_colors(panels, has_boxes):
    """Return panels as palette indices, the palette, and the index of red."""
    from PIL import Image

    # One palette for all frames, so that colors do not flicker.
    picture = Image.fromarray(panels.reshape(1, -1, 3)).quantize(_WHITE - 1)
    palette = np.full((256, 3), 255, "uint8")
    colors = np.reshape(picture.getpalette(), (-1, 3))[: _WHITE - 1]
    palette[: len(colors)] = colors
    palette[_WHITE - 1] = _RED
    return np.reshape(picture, panels.shape[:-1]), palette, _WHITE - 1


def _milliseconds(name, seconds):
    """Return a duration in ms, a multiple of 10 as GIF files require."""
    # Viewers slow down shorter frames, and the format stores 16 bits.
    if not isinstance(seconds, numbers.Real) or not 0.02 <= seconds <= 655:
        raise ValueError(
            f"`{name}` must be a number of seconds from 0.02 to 655. Received: "
            f"{name}={seconds!r}"
        )
    return round(seconds * 100) * 10
