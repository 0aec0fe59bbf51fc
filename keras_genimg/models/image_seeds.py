"""The seeds of images."""

import random

import numpy as np

from keras_genimg.ops.uniforms import MAX_SEED


def image_seeds(num_images, seed):
    """Return the seed of each image.

    Args:
        num_images: Number of images.
        seed: None for a random seed, the first of consecutive seeds, or one seed per
            image.

    Returns:
        NumPy int64 array of shape `(num_images,)`.

    Raises:
        ValueError: If a seed is not an integer from 0 to `MAX_SEED`, or their number is
            not `num_images`.
    """
    if seed is None:
        seed = random.randrange(2**31)
    seeds = np.asarray(seed)
    valid = seeds.dtype.kind in "iu" and seeds.shape in ((), (num_images,))
    if valid and seeds.ndim == 0:
        valid = 0 <= seeds <= MAX_SEED - num_images
        seeds = seeds + np.arange(num_images) if valid else seeds
    if not valid or (seeds < 0).any() or (seeds > MAX_SEED).any():
        raise ValueError(
            f"`seed` must be an integer from 0 to 2**62 - 1, or one such integer for "
            f"each of the {num_images} images. Received: seed={seed!r}"
        )
    return seeds.astype("int64")
