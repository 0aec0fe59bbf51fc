"""Images of a local path, split by a fixed permutation."""

import zlib

import numpy as np
import tensorflow as tf

from keras_genimg.datasets.image_files import read_image_files
from keras_genimg.datasets.resizing import resize
from keras_genimg.datasets.splits import select
from keras_genimg.extras import install_hint

# Seed of the permutation that assigns images to splits.
SPLIT_SEED = 1797
_FREY_SHAPE = (28, 20)


def read_local(path, split, image_size):
    """Return one split of the images of a local path, and their checksum.

    Position `i` of `"all"` holds image `permutation[i]` in the order of the file names,
    with `permutation = np.random.default_rng(1797).permutation(n)`. `"test"` is its
    last tenth (rounded down, but at least 1 of 3), `"validation"` the tenth before,
    `"train"` the rest.

    Args:
        path: `pathlib.Path` of a folder of images, or of the file `frey_rawface.mat`.
        split: `"train"`, `"validation"`, `"test"` or `"all"`, or a slice or sum of
            them.
        image_size: `(height, width)` to resize images to, or None.

    Returns:
        A `tf.data.Dataset` of `{"images": (height, width, colors) uint8}`, unbatched,
        and the CRC-32 of all images.

    Raises:
        ImportError: If a package that reads the files is not installed.
        ValueError: If there is no such path or split, a file is unfit, or the split is
            empty.
    """
    if path.is_dir():
        images = read_image_files(path, image_size)
    elif path.suffix == ".mat" and path.is_file():
        images = _read_frey_face(path)
        if image_size is not None:
            images = np.stack([resize(image, image_size).numpy() for image in images])
    else:
        raise ValueError(
            f"A local path must be a folder of images, or the file of Frey Face, "
            f"frey_rawface.mat. Received: {path}"
        )
    tenth = max(len(images) // 10, 1) if len(images) > 2 else 0
    sizes = {"train": len(images) - 2 * tenth, "validation": tenth, "test": tenth}
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    if split != "all":
        order = order[select(split, sizes, "a local path")]
    dataset = tf.data.Dataset.from_tensor_slices({"images": images[order]})
    return dataset, zlib.crc32(images)


def _read_frey_face(path):
    """Return the 1965 frames of Frey Face: `uint8` of shape `(frames, 28, 20, 1)`."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ImportError(
            f"Reading {path.name} needs SciPy: {install_hint('examples')}"
        ) from error
    try:
        frames = loadmat(path)["ff"]
    # SciPy raises one of many kinds for a broken file.
    except Exception as error:
        raise ValueError(
            f"A .mat file must be that of Frey Face, with the frames under 'ff'. "
            f"Received: {path}, which cannot be read: {error!r}"
        ) from error
    height, width = _FREY_SHAPE
    fits = frames.ndim == 2 and len(frames) == height * width
    if not fits or frames.dtype != np.uint8:
        raise ValueError(
            f"'ff' of Frey Face must be uint8 of shape ({height * width}, frames). "
            f"Received: {path} with {frames.dtype} of shape {frames.shape}"
        )
    # One frame a column, its pixels in raster order.
    return np.ascontiguousarray(frames.T).reshape(-1, height, width, 1)
