"""Batches of pixels for models, made from single displayable images."""

from collections.abc import Callable

import tensorflow as tf


def make_batches(
    dataset,
    batch_size,
    binarize=None,
    num_values=256,
    intensities=False,
    seed=0,
    shuffle=False,
    drop_remainder=False,
    crop=None,
    pick: Callable = dict,
):
    """Batch a data set and convert its pixels, see `load`.

    Args:
        dataset: `tf.data.Dataset` of known cardinality. Its elements are dicts with
            `"images"`, `uint8` of shape `(height, width, colors)`.
        batch_size: Images per batch.
        binarize: `None`, `"dynamic"` or `"fixed"`.
        num_values: Number of values of a pixel.
        intensities: Whether pixels are `float32` in [0, 1].
        seed: Integer seed of binarization and order.
        shuffle: Whether to shuffle in each epoch.
        drop_remainder: Whether to drop an incomplete last batch.
        crop: `None`, or a function of a batch of images and a pair of seeds that
            returns a part of each image. Seeds are new for each batch of each epoch.
        pick: Function from a batch, a dict, to an element of the result.

    Returns:
        A `tf.data.Dataset` of known cardinality.

    Raises:
        ValueError: If `drop_remainder` leaves no batch.

    Example:
        >>> from keras_genimg.datasets.digits import read_digits
        >>> int(make_batches(read_digits("test"), 100).cardinality())
        3
    """
    num_examples = int(dataset.cardinality())
    if drop_remainder and batch_size > num_examples:
        raise ValueError(
            f"`drop_remainder=True` leaves no batch of {num_examples} images. Use a "
            "smaller `batch_size`. "
            f"Received: batch_size={batch_size}"
        )

    def binarize_once(position, example):
        images = _bernoulli(example["images"], tf.stack([seed, position]))
        return {**example, "images": images}

    def finish(batch, batch_seed):
        images = batch["images"]
        if crop is not None:
            # Folded in, since the binarization draws from `batch_seed` itself.
            images = crop(images, tf.random.fold_in(batch_seed, 1, alg="philox"))
        if binarize == "dynamic":
            images = _bernoulli(images, batch_seed)
        elif intensities:
            images = tf.cast(images, tf.float32) / 255
        elif num_values < 256:
            # Rounds to nearest; 255 is odd, so there are no ties.
            scaled = tf.cast(images, tf.int32) * (num_values - 1)
            images = tf.cast((scaled + 127) // 255, tf.uint8)
        return pick({**batch, "images": images})

    parallel = tf.data.AUTOTUNE
    if binarize == "fixed":
        dataset = dataset.enumerate().map(binarize_once, num_parallel_calls=parallel)
    if shuffle:
        dataset = dataset.shuffle(min(num_examples, 65536), seed=seed)
    dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
    dataset = tf.data.Dataset.zip(dataset, new_seeds(seed))
    dataset = dataset.map(finish, num_parallel_calls=parallel).prefetch(parallel)
    # Shard by batch: sharding by file would change the positions.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return dataset.with_options(options)


def new_seeds(seed):
    """Return an infinite data set of pairs of seeds, new in each epoch.

    Args:
        seed: Integer seed, combined with TensorFlow's global seed.

    Example:
        >>> new_seeds(0).element_spec
        TensorSpec(shape=(2,), dtype=tf.int64, name=None)
    """
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
    return seeds.batch(2, drop_remainder=True)


def _bernoulli(images, seed):
    # An integer drawn from 0..254 is below v with probability v / 255 exactly.
    draws = tf.random.stateless_uniform(
        tf.shape(images), seed, 0, 255, tf.int32, alg="philox"
    )
    return tf.cast(draws < tf.cast(images, tf.int32), tf.uint8)
