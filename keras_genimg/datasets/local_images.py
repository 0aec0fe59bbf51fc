"""Images of a local path, split by a fixed permutation."""

import os
import pathlib

import numpy as np

from keras_genimg.datasets.patches import resize
from keras_genimg.extras import optional

# Seed of the permutation that assigns images to splits.
SPLIT_SEED = 1797
# Modes of Pillow; others would lose something in 8 bits.
_GRAY = ("1", "L", "LA")
_COLOR = ("RGB", "P", "RGBA", "PA")


def read_local(path, image_size):
    """Return the images of a local path by split, see `load`.

    Position `i` of `"all"` holds image `permutation[i]` in the order of the file names,
    with `permutation = np.random.default_rng(1797).permutation(n)`. `"test"` is its
    last tenth (rounded down, but at least 1 of 3), `"validation"` the tenth before,
    `"train"` the rest.

    Args:
        path: `pathlib.Path` of a folder of images, or of the file `frey_rawface.mat`.
        image_size: `(height, width)` to resize the images of a folder to, or None if
            all have one size.

    Raises:
        ImportError: If a package that reads the files is not installed.
        ValueError: If there is no such path, or a file is unfit.
    """
    if path.is_dir():
        images = _read_folder(path, image_size)
    elif path.suffix == ".mat" and path.is_file():
        images = _read_frey_face(path)
    else:
        raise ValueError(
            f"A local path must be a folder of images, or the file of Frey Face, "
            f"frey_rawface.mat. Received: {path}"
        )
    tenth = max(len(images) // 10, 1) if len(images) > 2 else 0
    images = images[np.random.default_rng(SPLIT_SEED).permutation(len(images))]
    ends = [len(images) - 2 * tenth, len(images) - tenth]
    names = ("train", "validation", "test")
    return {
        name: {"images": part}
        for name, part in zip(names, np.split(images, ends), strict=True)
    }


def _read_folder(folder, image_size):
    """Return all images of a folder and its subfolders, in the order of their names.

    Only hidden files are skipped. Pictures are turned as their EXIF data says.
    """
    visible = visible_files(folder)
    if not visible:
        raise ValueError(f"A folder of images must hold some. Received: {folder}")
    images = []
    for file in visible:
        image = _read_picture(file)
        if image_size is not None and image.shape[:2] != image_size:
            image = resize(image, image_size).numpy()
        if images and image.shape != images[0].shape:
            raise ValueError(
                f"Images must have one size, and be all gray or all in color. Convert "
                f"them, or pass `image_size` to resize them. Received: {visible[0]} of "
                f"shape {images[0].shape}, {file} of shape {image.shape}"
            )
        images.append(image)
    return np.stack(images)


def visible_files(folder):
    """Return the files of a folder and its subfolders, in the order of their names.

    Hidden files, and those in hidden folders, are left out.

    Args:
        folder: `pathlib.Path`.
    """
    names = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return [
        folder / name
        for name in names
        if not any(part.startswith(".") for part in name.parts)
    ]


def _read_picture(file):
    """Return an image as `uint8` of shape `(height, width, colors)`."""
    with optional("Reading image files needs Pillow", "examples"):
        from PIL import Image, ImageOps
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
    is_gray = image.mode in _GRAY
    if not is_gray and image.mode not in _COLOR:
        raise ValueError(
            f"An image must be gray or RGB, with 8 bits. Convert it first. Received: "
            f"{file} of mode {image.mode}"
        )
    pixels = np.asarray(image.convert("RGBA"))
    if pixels[..., 3].min() < 255:
        raise ValueError(
            f"An image must not be transparent. Put it on a background first. "
            f"Received: {file}"
        )
    return pixels[..., :1] if is_gray else pixels[..., :3]


def find_frey_face():
    """Return the images of Frey Face by split, from the folder of TensorFlow Datasets.

    Raises:
        FileNotFoundError: If the file is not there.
    """
    folder = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    path = pathlib.Path(folder).expanduser() / "frey_face" / "frey_rawface.mat"
    if not path.is_file():
        raise FileNotFoundError(
            f"Download frey_rawface.mat from https://cs.nyu.edu/~roweis/data.html, and "
            f"save it as {path}, or in another folder that the environment variable "
            f"TFDS_DATA_DIR names. Or pass pathlib.Path(...) of the file."
        )
    return read_local(path, None)


def _read_frey_face(path):
    """Return the 1965 frames of Frey Face: `uint8` of shape `(frames, 28, 20, 1)`."""
    with optional(f"Reading {path.name} needs SciPy", "examples"):
        from scipy.io import loadmat
    try:
        frames = loadmat(path)["ff"]
    # SciPy raises one of many kinds for a broken file.
    except Exception as error:
        raise ValueError(
            f"A .mat file must be that of Frey Face, with the frames under 'ff'. "
            f"Received: {path}, which cannot be read: {error!r}"
        ) from error
    height, width = 28, 20
    fits = frames.ndim == 2 and len(frames) == height * width
    if not fits or frames.dtype != np.uint8:
        raise ValueError(
            f"'ff' of Frey Face must be uint8 of shape ({height * width}, frames). "
            f"Received: {path} with {frames.dtype} of shape {frames.shape}"
        )
    # One frame a column, its pixels in raster order.
    return np.ascontiguousarray(frames.T).reshape(-1, height, width, 1)
