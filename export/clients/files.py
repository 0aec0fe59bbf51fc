"""Image files."""

import io
import math

import numpy as np

from ..install_hint import INSTALL_HINT
from .errors import ClientError

try:
    from PIL import Image
except ImportError as error:
    raise ClientError(f"Pillow is missing: {INSTALL_HINT}") from error

MODES = {1: "L", 3: "RGB"}


def to_png(image):
    """Return the PNG file of an image, uint8 `(height, width, colors)`, as bytes."""
    *_, colors = image.shape
    if colors not in MODES:
        raise ClientError(f"PNG files have 1 or 3 colors; the images have {colors}")
    pixels = image[..., 0] if colors == 1 else image
    opened = io.BytesIO()
    Image.fromarray(pixels).save(opened, "PNG")
    return opened.getvalue()


def from_png(content):
    """Return the image in a PNG file, given as bytes: `(height, width, colors)`."""
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def read_image(path, image_shape):
    """Read an image file as an array, uint8 `image_shape`.

    Raises:
        ClientError: If it is not an image of this height and width.
    """
    height, width, colors = image_shape
    if colors not in MODES:
        raise ClientError(f"image files have 1 or 3 colors; the model takes {colors}")
    try:
        with Image.open(path) as image:
            if image.mode[0] in "IF":
                raise ClientError(f"{path} must have 8 bits per color; it has more")
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
    """Return images of one shape, tiled to an image about as wide as high."""
    height, width, colors = images[0].shape
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    canvas = np.zeros((rows, columns, height, width, colors), np.uint8)
    canvas.reshape(-1, height, width, colors)[: len(images)] = images
    return canvas.swapaxes(1, 2).reshape(rows * height, columns * width, colors)
