"""The 8 by 8 digits included in scikit-learn, which need no download."""

import numpy as np

from keras_genimg.extras import optional

# Seed of the permutation that assigns digits to splits.
SPLIT_SEED = 1797
_NUM_TRAIN = 1497


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
    order = np.random.default_rng(SPLIT_SEED).permutation(len(levels))
    images = np.round(levels.reshape(-1, 8, 8, 1) * 255 / 16).astype("uint8")
    splits = {"train": order[:_NUM_TRAIN], "test": order[_NUM_TRAIN:]}
    return {
        split: {"images": images[positions], "label": labels[positions]}
        for split, positions in splits.items()
    }
