"""The seeds of images."""

import random

import numpy as np
import tensorflow as tf

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


def seeded_batches(function, seed):
    """Return a function of batches of images that gives each image its own seed.

    Args:
        function: Function of float32 images and their seeds.
        seed: Integer seed of the first image, with consecutive seeds for the next ones,
            or None for a random one.

    Raises:
        ValueError: If `seed` is not one integer from 0 to `MAX_SEED`. The returned
            function raises it if a batch needs larger seeds.
    """
    if seed is not None and np.ndim(seed) != 0:
        raise ValueError(
            f"`seed` must be one integer here, that of the first image. Received: "
            f"seed={seed!r}"
        )
    next_seed = int(image_seeds(1, seed)[0])

    def call(images):
        nonlocal next_seed
        images = tf.cast(images, tf.float32)
        seeds = next_seed + np.arange(len(images))
        if seeds[-1] > MAX_SEED:
            raise ValueError(
                f"`seed` is too large for the number of images: their seeds exceed "
                f"2**62 - 1. Received: seed={seed!r}"
            )
        next_seed += len(images)
        return function(images, tf.constant(seeds, tf.int64))

    return call
