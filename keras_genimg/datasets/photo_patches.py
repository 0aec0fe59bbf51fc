"""Color crops of the photographs included in scikit-image and scikit-learn."""

import numpy as np

from keras_genimg.extras import optional

SIDE = 32


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
