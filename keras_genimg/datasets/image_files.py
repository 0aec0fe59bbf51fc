"""Images of a folder of pictures, each of which must be fit for training."""

import numpy as np

from keras_genimg.datasets.resizing import resize
from keras_genimg.extras import install_hint

# Modes of Pillow, by the number of colors; others would lose something in 8 bits.
_GRAY = ("1", "L")
_COLOR = ("RGB", "P")
_WITH_ALPHA = {"LA": "L", "RGBA": "RGB", "PA": "RGB"}


def read_image_files(folder, image_size):
    """Return all images of a folder and of its subfolders, in the order of their names.

    Nothing is skipped but hidden files. Pictures are turned as their EXIF data says.

    Args:
        folder: A `pathlib.Path`.
        image_size: `(height, width)` to resize images to, or None if all have one size.

    Returns:
        `uint8` array of shape `(images, height, width, colors)`, where `colors` is 1 or
        3.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If there is no file, one is not an image of 8 bits without
            transparency, images differ in size and `image_size` is None, or some are
            gray and some in color. The text names the file.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    named = {path.relative_to(folder): path for path in files}
    visible = [
        path for name, path in sorted(named.items()) if not _is_hidden(name.parts)
    ]
    if not visible:
        raise ValueError(f"A folder of images must hold some. Received: {folder}")
    images = []
    for file in visible:
        image = _read(file)
        if images and image.shape[-1] != images[0].shape[-1]:
            kinds = [
                "gray" if x.shape[-1] == 1 else "in color" for x in (images[0], image)
            ]
            raise ValueError(
                f"Images must be all gray or all in color. Convert the ones or the "
                f"others. Received: {visible[0]} is {kinds[0]}, {file} is {kinds[1]}"
            )
        if image_size is not None and image.shape[:2] != image_size:
            image = resize(image, image_size).numpy()
        if images and image.shape != images[0].shape:
            sizes = [x.shape[:2] for x in (images[0], image)]
            raise ValueError(
                f"Images differ in size. Pass `image_size` to resize them. Received: "
                f"{visible[0]} of size {sizes[0]}, {file} of size {sizes[1]}"
            )
        images.append(image)
    return np.stack(images)


def _is_hidden(parts):
    return any(part.startswith(".") for part in parts)


def _read(file):
    """Return an image as `uint8` of shape `(height, width, colors)`."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError(
            f"Reading image files needs Pillow: {install_hint('examples')}"
        ) from error
    try:
        with Image.open(file) as opened:
            frames = getattr(opened, "n_frames", 1)
            image = ImageOps.exif_transpose(opened)
            image.load()
    # Pillow raises SyntaxError for some broken PNG files.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"A folder of images must hold nothing else. Remove or repair the file. "
            f"Received: {file}, which cannot be read: {error}"
        ) from error
    if frames > 1:
        raise ValueError(
            f"An image must be a single picture. Save the frames one by one. Received: "
            f"{file} with {frames} frames"
        )
    mode = image.mode
    if "transparency" in image.info and mode in _GRAY + _COLOR:
        mode = "LA" if mode in _GRAY else "RGBA"
    if mode in _WITH_ALPHA:
        if np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
            raise ValueError(
                f"An image must not be transparent. Put it on a background first. "
                f"Received: {file}"
            )
        mode = _WITH_ALPHA[mode]
    elif mode not in _GRAY + _COLOR:
        raise ValueError(
            f"An image must be gray or RGB, with 8 bits. Convert it first. Received: "
            f"{file} of mode {mode}"
        )
    pixels = np.asarray(image.convert("L" if mode in (*_GRAY, "L") else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)
