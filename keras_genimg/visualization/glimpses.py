"""Pictures of glimpses: canvases, boxes of attention and the KL divergence of each."""

import numbers
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from genimg_export.files import atomic_path
from keras_genimg.extras import optional
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.types import PathLike
from keras_genimg.visualization.grid import check_images, check_suffix, image_grid

_RED = (255, 0, 0)
_WHITE = 255  # Palette index of the background of `image_grid`.
_PADDING = 2  # Between images, in pixels of the file.
_GAP = 24  # Between grids.
_PERCENTILES = (10, 90)


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
    elif read_attention is not None:
        raise ValueError("`read_attention` needs `images` to be drawn on.")
    with optional("`save_canvases` needs Pillow", "examples"):
        from PIL import Image

    # Palette indices, (panels, images, glimpses, height, width). `image_grid` lays them
    # out as if they were gray levels.
    panels, palette, red = _indexed(np.stack(panels), np.any(boxes))
    pages = []
    for step in range(canvases.shape[1]):
        grids = []
        for cells, all_boxes in zip(panels[:, :, step], boxes, strict=True):
            cells = cells.repeat(scale, axis=1).repeat(scale, axis=2)
            for cell, box in zip(cells, all_boxes[:, step], strict=True):
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


def save_kl_per_step(path: PathLike, kl: ArrayLike | dict[str, Any]) -> None:
    """Plot the KL divergence of each glimpse's latents as a PNG file.

    Lines are means over images, and bands range from the 10th to the 90th percentile.
    The legend shows the sum over glimpses, averaged over images. The file is written
    atomically and replaces an existing one.

    Args:
        path: Path of the file, ending in `.png`.
        kl: KL divergences of the posterior from the prior, in nats, of shape `(images,
            glimpses)`. To compare models, a dict of such arrays by label. Their numbers
            of images and glimpses may differ.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If an argument is invalid.

    Example:
        >>> kl = np.random.default_rng(0).gamma(2.0, size=(100, 64))
        >>> save_kl_per_step("kl.png", {"DRAW": kl, "half of it": kl / 2})

    References:
        Gregor et al., DRAW: A Recurrent Neural Network For Image Generation, 2015,
        equations 10 and 11, https://arxiv.org/abs/1502.04623
    """
    path = check_suffix(path, ".png")
    if isinstance(kl, dict):
        if not kl:
            raise ValueError("`kl` must have at least one entry. Received: kl={}")
        curves = {
            f"{label}: ": _checked_kl(values, f"`kl` of {label!r}")
            for label, values in kl.items()
        }
    else:
        curves = {"": _checked_kl(kl, "`kl`")}
    with optional("`save_kl_per_step` needs matplotlib", "examples"):
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

    # `pyplot` keeps global state and may need a display, so it is not used.
    figure = Figure(figsize=(6.4, 4), dpi=150, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    lines = []
    for values in curves.values():
        glimpses = np.arange(1, values.shape[1] + 1)
        lines += axes.plot(glimpses, values.mean(axis=0), marker=".")
        low, high = np.percentile(values, _PERCENTILES, axis=0)
        axes.fill_between(
            glimpses, low, high, color=lines[-1].get_color(), alpha=0.2, linewidth=0
        )
    axes.set_xlabel("glimpse")
    axes.set_ylabel("KL, nats")
    axes.set_xlim(0.5, max(values.shape[1] for values in curves.values()) + 0.5)
    if axes.dataLim.y0 >= 0:  # An estimate from samples can be negative.
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    # Labels are plain text: they may begin with an underscore or contain a dollar sign.
    legend = axes.legend(lines, ["-"] * len(lines), frameon=False)
    for text, (label, values) in zip(legend.get_texts(), curves.items(), strict=True):
        text.set_parse_math(False)
        text.set_text(f"{label}total {values.sum(axis=1).mean():.1f} nats")
    with atomic_path(path) as unfinished:
        figure.savefig(unfinished, format="png")


def _boxes(kind, attention, size, shape, scale):
    """Return boxes and line widths in pixels of the scaled image.

    Returns:
        Integers of shape `(images, glimpses, 5)`: left, top, right, bottom and line
        width; zeros without attention, which are empty boxes.
    """
    name = f"{kind}_attention"
    if attention is None and size is None:
        return np.zeros((*shape[:2], 5), int)
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
    # Do not use np.round: rounding half to even could make a box narrower than a pixel.
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


def _indexed(panels, has_boxes):
    """Return panels as palette indices, the palette, and the index of red."""
    from PIL import Image

    if panels.shape[-1] == 1:
        palette = np.arange(256, dtype="uint8")[:, None].repeat(3, axis=1)
        panels = panels[..., 0]
        # Red replaces an unused gray, or else the rarest.
        red = np.bincount(panels.ravel(), minlength=256)[:_WHITE].argmin()
        if has_boxes:
            palette[red] = _RED
            panels = np.where(panels == red, np.uint8(red - 1 if red else 1), panels)
        return panels, palette, red
    # All frames share one palette, so that colors do not flicker.
    red = _WHITE - 1
    picture = Image.fromarray(panels.reshape(1, -1, 3)).quantize(red)
    palette = np.full((256, 3), 255, "uint8")
    colors = np.reshape(picture.getpalette(), (-1, 3))[:red]
    palette[: len(colors)] = colors
    palette[red] = _RED
    return np.reshape(picture, panels.shape[:-1]), palette, red


def _milliseconds(name, seconds):
    """Return a duration in ms, a multiple of 10 as GIF files require."""
    # Viewers slow down shorter frames, and the format stores 16 bits.
    if not isinstance(seconds, numbers.Real) or not 0.02 <= seconds <= 655:
        raise ValueError(
            f"`{name}` must be a number of seconds from 0.02 to 655. Received: "
            f"{name}={seconds!r}"
        )
    return round(seconds * 100) * 10


def _checked_kl(kl, name):
    kl = np.asarray(kl)
    if kl.ndim != 2 or kl.size == 0 or kl.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} must be numbers (images, glimpses), with at least one of each. "
            f"Received: shape={kl.shape}, dtype={kl.dtype}"
        )
    kl = kl.astype("float64")
    if not np.isfinite(kl).all():
        odd = kl[~np.isfinite(kl)]
        raise ValueError(f"{name} must be finite. Received: {odd[0]}")
    return kl
