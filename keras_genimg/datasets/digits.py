"""The 8 by 8 digits included in scikit-learn, which need no download."""

import numpy as np
import tensorflow as tf

from keras_genimg.datasets.splits import select
from keras_genimg.extras import install_hint

# Seed of the permutation that assigns digits to splits.
SPLIT_SEED = 1797
_SIZES = {"train": 1497, "test": 300}


def read_digits(split):
    """Return one split of scikit-learn's 1797 handwritten digits.

    Position `i` of `"all"` holds digit `permutation[i]` of scikit-learn's order, with
    `permutation = np.random.default_rng(1797).permutation(1797)`. `"train"` is its
    first 1497 positions and `"test"` its last 300. The 17 gray levels `v` become
    `round(v * 255 / 16)`, from which quantizing to 17 values recovers them exactly.

    Args:
        split: `"train"` (1497 images), `"test"` (300) or `"all"` (1797), or a slice or
            sum of them, such as `"train[:-150]"`.

    Returns:
        A `tf.data.Dataset` of `{"images": (8, 8, 1) uint8 in 0..255, "label": ()
        int32 in 0..9}`, unbatched.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If `split` is unknown or empty.

    Example:
        >>> int(read_digits("test").cardinality())
        300
    """
    positions = select(split, _SIZES, '"digits"')
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            f'The data set "digits" needs scikit-learn: {install_hint("examples")}'
        ) from error

    levels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(levels))[positions]
    images = np.round(levels[order].reshape(-1, 8, 8, 1) * 255 / 16)
    return tf.data.Dataset.from_tensor_slices(
        {"images": images.astype("uint8"), "label": labels[order].astype("int32")}
    )
