"""Readers, which return the arrays of each split: bundled images and local files."""

import os
import pathlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_genimg.datasets.patches import resize
from keras_genimg.extras import optional

# Seed of the permutation that assigns images to splits.
SPLIT_SEED = 1797
# Side of the crops of photographs.
SIDE = 32
# These modes of Pillow lose nothing in 8 bits.
_GRAY = ("1", "L", "LA")
_COLOR = ("RGB", "P", "RGBA", "PA")
# Pillow converts these to RGB.
_CONVERTED = ("CMYK", "YCbCr", "HSV", "RGBX")
# How to mend files that do not fit, and how many of them an error names.
_REPAIR = "Remove or repair files that cannot be read."
_SPLIT = "Save the frames of animations one by one."
_BY_HAND = "Convert other modes to 8-bit RGB with another program."
_CONVERT = (
    'To convert all images, pass `color_mode="rgb"` (`--color-mode rgb` of '
    "genimg-train)."
)
_RESIZE = "To resize all images, pass `image_size` (`--image-size` of genimg-train)."
_MOST_NAMED = 10
_NAMES = {1: "gray", 3: "color"}  # Names of images by their number of colors.


def read_digits():
    """Return scikit-learn's 1797 handwritten digits by split, see `load`.

    Position `i` of `"all"` holds digit `permutation[i]` of scikit-learn's order, with
    `permutation = np.random.default_rng(1797).permutation(1797)`. `"train"` is its
    first 1497 positions and `"test"` its last 300. The 17 gray levels `v` become
    `round(v * 255 / 16)`, from which quantizing to 17 values recovers them exactly.

    Raises:
        ImportError: If scikit-learn is not installed.
    """
    with optional('The data set "digits" needs scikit-learn', "examples"):
        from sklearn.datasets import load_digits

    levels, labels = load_digits(return_X_y=True)
    images = np.round(levels.reshape(-1, 8, 8, 1) * 255 / 16).astype("uint8")
    return _permuted({"images": images, "label": labels}, train=1497, test=300)


def read_photo_patches():
    """Return the 32 by 32 color crops of six photographs by split, see `load`.

    | photograph  | split | height, width | crops | author, licence                |
    |-------------|-------|---------------|-------|--------------------------------|
    | `astronaut` | train | 512, 512      | 961   | NASA, public domain            |
    | `china`     | train | 427, 640      | 975   | danielbuechele, CC BY 2.0      |
    | `flower`    | train | 427, 640      | 975   | vultilion, CC BY 2.0           |
    | `rocket`    | train | 427, 640      | 975   | SpaceX, public domain          |
    | `chelsea`   | test  | 300, 451      | 126   | Stéfan van der Walt, CC0       |
    | `coffee`    | test  | 400, 600      | 216   | Rachel Michetti, CC0           |

    scikit-learn has `china` and `flower`, scikit-image the others. Crops of a split
    follow each other in the order of this table; those of a photograph are in raster
    order, from its upper left corner. Their corners are 32 pixels apart in test, and
    16 in train, so that neighbors overlap there: a part of `"train"` that is held out
    shares pixels with the rest only where the split is cut. Rows and columns of pixels
    that are left over at the lower and right edge are not used.

    Raises:
        ImportError: If scikit-image or scikit-learn is not installed.

    References:
        scikit-image, `skimage.data`, https://scikit-image.org/docs/stable/api
        scikit-learn, `sklearn/datasets/images/README.txt`
    """
    # The photographs in color that the wheels contain, so that nothing is downloaded.
    # Left out are medical pictures, the motorcycle, which has no stated licence, and
    # the Hubble Deep Field, which is a composite and almost black.
    need = 'The data set "photo_patches" needs scikit-image and scikit-learn'
    with optional(need, "photos"):
        from skimage import data
        from sklearn.datasets import load_sample_image
    # A photograph is in one split only, so that test crops show nothing seen in
    # training. Those of the test split are PNG files, which every decoder reads alike.
    china, flower = map(load_sample_image, ("china.jpg", "flower.jpg"))
    train = [data.astronaut(), china, flower, data.rocket()]
    test = [data.chelsea(), data.coffee()]
    return {
        "train": {"images": np.concatenate([_crops(each, 16) for each in train])},
        "test": {"images": np.concatenate([_crops(each, SIDE) for each in test])},
    }


def _crops(photograph, stride):
    """Return crops in raster order, `uint8` of shape `(crops, SIDE, SIDE, 3)`."""
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (SIDE, SIDE), (0, 1))
    # (rows, columns, colors, height, width) -> (crops, height, width, colors)
    windows = np.moveaxis(windows[::stride, ::stride], 2, -1)
    return windows.reshape(-1, SIDE, SIDE, windows.shape[-1])


def read_local(path, image_size, labels=False, color_mode=None):
    """Return the images of a local path by split, see `load`.

    Position `i` of `"all"` holds image `permutation[i]` in the order of the file names,
    with `permutation = np.random.default_rng(1797).permutation(n)`. `"test"` is its
    last tenth (rounded down, but at least 1 of 3), `"validation"` the tenth before,
    `"train"` the rest.

    Args:
        path: `pathlib.Path` of a folder of images, or of the file `frey_rawface.mat`.
        image_size: `(height, width)` to resize the images of a folder to, or None if
            all have one size.
        labels: Whether to return labels too, which only a folder has: the position of
            the image's subfolder in `class_names`.
        color_mode: `"rgb"` or `"grayscale"` to convert the images of a folder, None to
            take them as they are.

    Raises:
        ImportError: If a package that reads the files is not installed.
        ValueError: If there is no such path, a file is unfit, or an image with a label
            is in no subfolder.
    """
    found = {}
    if path.is_dir():
        if labels:
            names = class_names(path)
            files = visible_files(path)
            found["label"] = np.array([names.index(_class(path, f)) for f in files])
        images = _read_folder(path, image_size, color_mode)
    elif path.suffix == ".mat" and path.is_file():
        images = _read_frey_face(path)
    elif not path.exists():
        raise ValueError(f"There is no folder {str(path)!r}.")
    else:
        raise ValueError(
            f"A file of local images must be that of Frey Face, frey_rawface.mat. Give "
            f"the folder of others. Received: {path}"
        )
    tenth = max(len(images) // 10, 1) if len(images) > 2 else 0
    sizes = {"train": len(images) - 2 * tenth, "validation": tenth, "test": tenth}
    return _permuted({"images": images, **found}, **sizes)


def class_names(folder):
    """Return the names of a folder's subfolders that hold images, sorted.

    Args:
        folder: `pathlib.Path`.

    Raises:
        ValueError: If an image is in no subfolder.
    """
    return sorted({_class(folder, file) for file in visible_files(folder)})


def _class(folder, file):
    """Return the name of the subfolder of `folder` that a file is in."""
    name, *others = file.relative_to(folder).parts
    if not others:
        raise ValueError(
            f"`labels=True` takes the subfolders of a folder for its classes. Move "
            f"each image into one. Received: {file}"
        )
    return name


def _permuted(arrays, **sizes):
    """Return arrays in a fixed random order, cut into splits of the given sizes."""
    order = np.random.default_rng(SPLIT_SEED).permutation(sum(sizes.values()))
    parts = np.split(order, np.cumsum([*sizes.values()])[:-1])
    return {
        split: {key: array[part] for key, array in arrays.items()}
        for split, part in zip(sizes, parts, strict=True)
    }


def _read_folder(folder, image_size, color_mode):
    """Return all images of a folder and its subfolders, in the order of their names.

    Only hidden files are skipped. Pictures are turned as their EXIF data says.

    Raises:
        ValueError: If there are no files, or some do not fit; the text names them.
    """
    visible = visible_files(folder)
    if not visible:
        raise ValueError(f"No images found in {str(folder)!r}.")
    images, shapes, misfits = [], {}, {}
    for file in visible:
        try:
            image = _read_picture(file, color_mode)
        except _MisfitError as error:
            misfits[file] = error
            continue
        shapes[file] = image.shape
        if image_size is not None and image.shape[:2] != image_size:
            image = resize(image, image_size).numpy()
        images.append(image)
    if misfits or any(image.shape != images[0].shape for image in images):
        text = _misfits_text(folder, visible, shapes, misfits, image_size is None)
        raise ValueError(text)
    return np.stack(images)


class _MisfitError(Exception):
    """A file does not fit into a folder: the reason, and how to mend it."""


def _misfits_text(folder, files, shapes, misfits, one_size):
    """Return which files of a folder do not fit, the reasons, and how to mend them.

    Colors and size that most images have are those that fit.

    Args:
        folder: Path of the folder.
        files: Paths of its files, in order.
        shapes: Dict by path of the shapes of images, before they are resized.
        misfits: Dict by path of a `_MisfitError` for each other file.
        one_size: Whether images must have one size.
    """
    others, misfits = "", {**misfits}
    if shapes:
        sizes, colors = zip(*((s[:2], s[2]) for s in shapes.values()), strict=True)
        size, color = (Counter(each).most_common(1)[0][0] for each in (sizes, colors))
        others = f" The others are {_NAMES[color]} images"
        others += f" of {_pixels(size)} (height, width)." if one_size else "."
        for file, (*own_size, own_color) in shapes.items():
            reasons, mends = [], []
            if own_color != color:
                reasons.append(_NAMES[own_color])
                mends.append(_CONVERT)
            if one_size and tuple(own_size) != size:
                reasons.append(_pixels(own_size))
                mends.append(_RESIZE)
            if mends:
                misfits[file] = _MisfitError(", ".join(reasons), *mends)
        if len(misfits) == len(files):
            others = ""
    named = [file for file in files if file in misfits]
    lines = [f"  {f.relative_to(folder)}: {misfits[f].args[0]}" for f in named]
    if len(lines) > _MOST_NAMED:
        lines[_MOST_NAMED:] = [f"  and {len(lines) - _MOST_NAMED} more"]
    mends = dict.fromkeys(mend for file in named for mend in misfits[file].args[1:])
    return "\n".join(
        [
            f"A folder must hold images that fit together, and nothing else. Received: "
            f"{folder}. Files that do not fit: {len(named)} of {len(files)}.{others}",
            *lines,
            *mends,
        ]
    )


def _pixels(size):
    height, width = size
    return f"{height}x{width} pixels"


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


def _read_picture(file, color_mode):
    """Return an image as `uint8` of shape `(height, width, colors)`.

    Args:
        file: Path of the file.
        color_mode: See `read_local`.

    Raises:
        _MisfitError: If it is no image, or one that must be converted first.
    """
    with optional("Reading image files needs Pillow", "examples"):
        from PIL import Image, ImageOps, UnidentifiedImageError
    try:
        with Image.open(file) as opened:
            frames = getattr(opened, "n_frames", 1)
            image = ImageOps.exif_transpose(opened)
            image.load()
    except UnidentifiedImageError:
        is_empty = file.stat().st_size == 0
        reason = "an empty file" if is_empty else "no image that Pillow can read"
        raise _MisfitError(reason, _REPAIR) from None
    # Pillow's decoders raise errors of many kinds for broken files.
    except Exception as error:
        whole = (NotImplementedError, PermissionError, Image.DecompressionBombError)
        word = "cannot be read" if isinstance(error, whole) else "damaged"
        raise _MisfitError(f"{word}: {error}", _REPAIR) from error
    if frames > 1:
        raise _MisfitError(f"{frames} frames", _SPLIT)
    if color_mode and image.mode.startswith("I"):
        image = _eight_bits(image)
    is_gray = image.mode in _GRAY
    if image.mode not in _GRAY + _COLOR:
        if not (image.mode in _CONVERTED or image.mode.startswith("I")):
            reason = f"mode {image.mode}, which cannot be converted"
            raise _MisfitError(reason, _BY_HAND)
        if not color_mode:
            reason = f"mode {image.mode}, not gray or RGB of 8 bits"
            raise _MisfitError(reason, _CONVERT)
    image = image.convert("RGBA")
    if np.asarray(image)[..., 3].min() < 255:
        if not color_mode:
            raise _MisfitError("transparent", _CONVERT)
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    if color_mode == "grayscale" and not is_gray:
        return np.asarray(image.convert("L"))[..., None]
    one_color = is_gray and color_mode != "rgb"
    return np.asarray(image)[..., : 1 if one_color else 3]


def _eight_bits(image):
    """Return a gray image of 16 bits with the upper 8, as TensorFlow decodes it."""
    from PIL import Image

    levels = np.asarray(image)
    if levels.min() < 0 or levels.max() > 65535:
        raise _MisfitError("more than 16 bits", _BY_HAND)
    upper = Image.fromarray((levels >> 8).astype("uint8"))
    if "transparency" in image.info:
        is_clear = levels == image.info["transparency"]
        upper.putalpha(Image.fromarray(np.where(is_clear, 0, 255).astype("uint8")))
    return upper


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
    # Each column is a frame, with its pixels in raster order.
    return np.ascontiguousarray(frames.T).reshape(-1, height, width, 1)


# See `load`.
READERS: dict[str, Callable[[], dict[str, dict[str, Any]]]] = {
    "digits": read_digits,
    "photo_patches": read_photo_patches,
    "frey_face": find_frey_face,
}
