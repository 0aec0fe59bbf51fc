"""How DRAW draws its images, as an animation."""

import numbers

import numpy as np

from keras_genimg.extras import install_hint
from keras_genimg.visualization.attention_boxes import attention_box
from keras_genimg.visualization.checks import check_images, check_int
from keras_genimg.visualization.grid import image_grid
from keras_genimg.visualization.picture_file import check_suffix, replace_file

_RED = (255, 0, 0)
_WHITE = 255  # Index in the palette, with which `image_grid` fills.
_PADDING = 2  # Between images, in pixels of the file.
_GAP = 24  # Between grids.


def save_canvases(
    path,
    canvases,
    write_attention=None,
    write_size=None,
    images=None,
    read_attention=None,
    read_size=None,
    columns=None,
    scale=4,
    seconds_per_frame=0.1,
    hold_seconds=1.5,
):
    """Animate how DRAW drew images, glimpse by glimpse, as a GIF file.

    Each frame is a grid of all canvases after one glimpse, with a red box round the
    pixels that the glimpse wrote. With `images`, a second grid to the left of it shows
    these, with a red box round the pixels that the glimpse read.

    A box is that of `attention_box`. Where it reaches beyond the image, the part inside
    is drawn. Its line grows inwards and is half as wide as the standard deviation of
    the filters, but at least a pixel of the file, and at most a quarter of the box or a
    sixteenth of the image.

    Grey levels and the red of the boxes are exact in the file, other colours the
    nearest of a palette for the whole animation. A GIF has 256 colours: if there are
    boxes, and pixels of each of the 256 greys, then those of the rarest are drawn in a
    grey one level off. Frames that equal the one before become one, shown for as long.
    The animation repeats for ever. The file appears complete or not at all, and
    replaces one that is there.

    Args:
        path: Where to write, ending in `.gif`.
        canvases: Displayable images, `uint8` in 0..255, of shape `(images, glimpses,
            height, width, colors)` with 1 or 3 colours.
        write_attention: `(images, glimpses, 5)`, as `attention_box` takes it.
        write_size: Filters along each axis of the write attention.
        images: Displayable images of shape `(images, height, width, colors)` that DRAW
            reads.
        read_attention: `(images, glimpses, 5)`, as `attention_box` takes it.
        read_size: Filters along each axis of the read attention.
        columns: Images in a row of each grid. `None` takes the smallest square that
            holds all.
        scale: Side of the square of pixels that each pixel of an image becomes.
        seconds_per_frame: Time that a glimpse is shown, rounded to 1/100.
        hold_seconds: Time that the last glimpse is shown, rounded to 1/100.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If an argument is not as described, or attention comes without its
            size or images.

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
    check_int("scale", scale, 1)
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
                "`images` must be as many, as large and of as many colours as "
                f"`canvases`, whose shape is {canvases.shape}. Received: "
                f"shape={images.shape}"
            )
        panels.insert(0, np.broadcast_to(images[:, None], canvases.shape))
        boxes.insert(0, read_boxes)
    elif read_boxes is not None:
        raise ValueError("`read_attention` needs `images`, on which it is drawn.")
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"`save_canvases` needs Pillow: {install_hint('examples')}"
        ) from error

    # One colour after the other, (panels, images, glimpses, height, width), as indices
    # into a palette. With these, `image_grid` lays out what it takes for greys.
    panels = np.stack(panels)
    has_boxes = any(box is not None for box in boxes)
    indexed = _index_grey if panels.shape[-1] == 1 else _index_colors
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
    replace_file(
        path,
        lambda file: pages[0].save(
            file,
            format="GIF",
            save_all=True,
            append_images=pages[1:],
            duration=durations,
            loop=0,
        ),
    )


def _boxes(kind, attention, size, shape, scale):
    """Return left, top, right, bottom and line width in pixels of a scaled-up image.

    Integers `(images, glimpses, 5)`, or `None` without attention.
    """
    name = f"{kind}_attention"
    if attention is None and size is None:
        return None
    if attention is None or size is None:
        raise ValueError(
            f"`{name}` and `{kind}_size` go together. Received: {kind}_size={size!r}, "
            f"{name}={'None' if attention is None else 'an array'}"
        )
    attention = np.asarray(attention, "float64")
    if attention.shape != (*shape[:2], 5):
        raise ValueError(
            f"`{name}` must be (images, glimpses, 5), here {(*shape[:2], 5)}, since "
            f"`canvases` has shape {shape}. Received: shape={attention.shape}"
        )
    try:
        edges = attention_box(attention, size)
    except ValueError as error:
        raise ValueError(f"`{name}`, `{kind}_size`: {error}") from error
    height, width = (length * scale for length in shape[2:4])
    # Floor, since rounding to even could make a box narrower than a pixel.
    edges = np.floor(np.clip(edges * scale, 0, [width, height, width, height]) + 0.5)
    sides = edges[..., 2:] - edges[..., :2]
    thickest = np.minimum(sides.min(axis=-1) // 4, min(height, width) // 16)
    lines = np.minimum(np.round(attention[..., 3] * scale / 2), thickest)
    boxes = np.concatenate([edges, lines.clip(1)[..., None]], axis=-1)
    return boxes.astype(int)


def _draw_box(cell, box, color):
    left, top, right, bottom, line = box
    inside = cell[top:bottom, left:right]  # A view, empty for a box outside.
    inside[:line] = inside[-line:] = color
    inside[:, :line] = inside[:, -line:] = color


def _index_grey(panels, has_boxes):
    """Return panels as indices of a palette, that palette, and the index of red."""
    palette = np.arange(256, dtype="uint8")[:, None].repeat(3, axis=1)
    panels = panels[..., 0]
    if not has_boxes:
        return panels, palette, None
    # Red takes the place of a grey that no pixel has, or else of the rarest.
    red = np.bincount(panels.ravel(), minlength=256)[:_WHITE].argmin()
    palette[red] = _RED
    neighbor = np.uint8(red - 1 if red else 1)
    return np.where(panels == red, neighbor, panels), palette, red


def _index_colors(panels, has_boxes):
    """Return panels as indices of a palette, that palette, and the index of red."""
    from PIL import Image

    # One palette for all frames, so that colours do not flicker.
    picture = Image.fromarray(panels.reshape(1, -1, 3)).quantize(_WHITE - 1)
    palette = np.full((256, 3), 255, "uint8")
    colors = np.reshape(picture.getpalette(), (-1, 3))[: _WHITE - 1]
    palette[: len(colors)] = colors
    palette[_WHITE - 1] = _RED
    return np.reshape(picture, panels.shape[:-1]), palette, _WHITE - 1


def _milliseconds(name, seconds):
    """Return a duration in ms, of which GIF files keep the tens."""
    # Viewers slow down what is faster, and the file has 16 bits.
    if not isinstance(seconds, numbers.Real) or not 0.02 <= seconds <= 655:
        raise ValueError(
            f"`{name}` must be a number of seconds from 0.02 to 655. Received: "
            f"{name}={seconds!r}"
        )
    return round(seconds * 100) * 10
