"""Image files, written whole or not at all."""

import contextlib
import io
import math
import os
import pathlib
import uuid

import numpy as np

from ..install_hint import INSTALL_HINT
from .errors import ClientError

try:
    from PIL import Image
except ImportError as error:
    raise ClientError(f"Pillow is missing: {INSTALL_HINT}") from error

MODES = {1: "L", 3: "RGB"}


def write_whole(path, content):
    """Write bytes to a file, which appears when it is complete.

    Args:
        path: Path of the file; overwritten if it exists.
        content: Bytes.
    """
    path = pathlib.Path(path)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(beside, "xb") as opened:
            opened.write(content)
        os.replace(beside, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


def to_png(image):
    """Return an image, uint8 `(height, width, colors)`, as the bytes of a PNG file."""
    *_, colors = image.shape
    if colors not in MODES:
        raise ClientError(f"PNG files have 1 or 3 colours; the images have {colors}")
    pixels = image[..., 0] if colors == 1 else image
    opened = io.BytesIO()
    Image.fromarray(pixels).save(opened, "PNG")
    return opened.getvalue()


def from_png(content):
    """Return the bytes of a PNG file as an image, `(height, width, colors)`."""
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def read_image(path, image_shape):
    """Return an image file as uint8 `image_shape`.

    Raises:
        ClientError: If it is no image, or not of this height and width.
    """
    height, width, colors = image_shape
    if colors not in MODES:
        raise ClientError(f"image files have 1 or 3 colours; the model takes {colors}")
    try:
        with Image.open(path) as image:
            if image.mode[0] in "IF":
                raise ClientError(f"{path} must have 8 bits a colour; it has more")
            if image.size != (width, height):
                raise ClientError(
                    f"{path} must have {width}x{height} pixels, as the model's images "
                    f"have; it has {image.width}x{image.height}"
                )
            pixels = np.asarray(image.convert(MODES[colors]))
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error}") from None
    return pixels.reshape(image_shape)


def grid(images):
    """Return images, one shape, as one image, about as wide as high."""
    height, width, colors = images[0].shape
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    canvas = np.zeros((rows, columns, height, width, colors), np.uint8)
    canvas.reshape(-1, height, width, colors)[: len(images)] = images
    return canvas.swapaxes(1, 2).reshape(rows * height, columns * width, colors)
