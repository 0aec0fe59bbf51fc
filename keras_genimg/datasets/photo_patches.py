"""Color crops of the photographs included in scikit-image and scikit-learn."""

import numpy as np
import tensorflow as tf

from keras_genimg.datasets.splits import select
from keras_genimg.extras import install_hint

SIDE = 32
# A photograph is in one split only, so that test crops show nothing seen in training.
# Those of the test split are PNG files, which every decoder reads alike.
_PHOTOGRAPHS = {
    "train": ("astronaut", "china", "flower", "rocket"),
    "test": ("chelsea", "coffee"),
}
_STRIDES = {"train": 16, "test": SIDE}
_SIZES = {"train": 3886, "test": 342}


def read_photo_patches(split):
    """Return one split of the 32 by 32 color crops of six photographs.

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

    Args:
        split: `"train"` (3886 images), `"test"` (342) or `"all"` (4228), or a slice or
            sum of them, such as `"train[:-975]"`, which leaves out the rocket.

    Returns:
        A `tf.data.Dataset` of `{"images": (32, 32, 3) uint8}`, unbatched.

    Raises:
        ImportError: If scikit-image or scikit-learn is not installed.
        ValueError: If `split` is unknown or empty.

    Example:
        >>> int(read_photo_patches("test").cardinality())
        342

    References:
        scikit-image, `skimage.data`, https://scikit-image.org/docs/stable/api
        scikit-learn, `sklearn/datasets/images/README.txt`
    """
    positions = select(split, _SIZES, '"photo_patches"')
    photographs = _read_photographs()
    images = np.concatenate(
        [
            _crops(photographs[name], _STRIDES[part])
            for part, names in _PHOTOGRAPHS.items()
            for name in names
        ]
    )
    return tf.data.Dataset.from_tensor_slices({"images": images[positions]})


def _read_photographs():
    """Return the photographs by name, `uint8` of shape `(height, width, 3)`."""
    # The photographs in color that the wheels contain, so that nothing is downloaded.
    # Left out are medical pictures, the motorcycle, which has no stated licence, and
    # the Hubble Deep Field, which is a composite and almost black.
    try:
        from skimage import data
        from sklearn.datasets import load_sample_image
    except ImportError as error:
        raise ImportError(
            f'The data set "photo_patches" needs scikit-image and scikit-learn: '
            f"{install_hint('photos')}"
        ) from error
    return {
        "astronaut": data.astronaut(),
        "chelsea": data.chelsea(),
        "china": load_sample_image("china.jpg"),
        "coffee": data.coffee(),
        "flower": load_sample_image("flower.jpg"),
        "rocket": data.rocket(),
    }


def _crops(photograph, stride):
    """Return crops in raster order, `uint8` of shape `(crops, SIDE, SIDE, 3)`."""
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (SIDE, SIDE), (0, 1))
    # (rows, columns, colors, height, width) -> (crops, height, width, colors)
    windows = np.moveaxis(windows[::stride, ::stride], 2, -1)
    return windows.reshape(-1, SIDE, SIDE, windows.shape[-1])
