"""Batches of pixels for models, made from single displayable images."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_genimg.datasets.epochs import CROPS, PIXELS, TIES, make_epochs, stream

# Shuffled data sets up to this size are held in memory; larger ones are shuffled within
# windows of this size.
MAX_BYTES = 2**29


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
    num_examples=None,
    description=None,
):
    """Batch a data set and convert its pixels, see `load`.

    Args:
        dataset: `tf.data.Dataset` of known cardinality, or a function that returns the
            data set of an epoch from its key, see `Epochs`. Elements are dicts with
            `"images"`, `uint8` of shape `(height, width, colors)`.
        batch_size: Images per batch.
        binarize: `None`, `"dynamic"` or `"fixed"`.
        num_values: Number of values of a pixel.
        intensities: Whether pixels are `float32` in [0, 1].
        seed: Integer seed of binarization and order.
        shuffle: Whether to shuffle in each epoch.
        drop_remainder: Whether to drop an incomplete last batch.
        crop: `None`, or a function that returns a part of each image. It takes a batch
            of images, and a function that returns a pair of seeds, new for each call
            in each epoch. If it asks for none, epochs do not depend on their key.
        pick: Function from a batch, a dict, to an element of the result.
        num_examples: Number of examples, for a function.
        description: See `Epochs`.

    Returns:
        A `tf.data.Dataset` of known cardinality, with the attribute `epochs`.

    Raises:
        ValueError: If `drop_remainder` leaves no batch.

    Example:
        >>> from keras_genimg.datasets.digits import read_digits
        >>> int(make_batches(read_digits("test"), 100).cardinality())
        3
    """
    if num_examples is None:
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

    def finish(batch, key, index):
        images = batch["images"]
        if crop is not None:
            images = crop(images, lambda: stream(key, CROPS, index))
        if binarize == "dynamic":
            seeds = (stream(key, kind, index) for kind in (PIXELS, TIES))
            images = _bernoulli_by_8_bits(images, *seeds)
        elif intensities:
            images = tf.cast(images, tf.float32) / 255
        elif num_values < 256:
            # Rounds to nearest; 255 is odd, so there are no ties.
            scaled = tf.cast(images, tf.int32) * (num_values - 1)
            images = tf.cast((scaled + 127) // 255, tf.uint8)
        return pick({**batch, "images": images})

    def stored(key) -> tf.data.Dataset:
        examples: Any = dataset(key) if callable(dataset) else dataset
        if binarize == "fixed":
            examples = examples.enumerate().map(
                binarize_once, num_parallel_calls=tf.data.AUTOTUNE
            )
        return examples

    options: dict[str, Any] = {}
    if shuffle:
        fitting = MAX_BYTES // _bytes_each(dataset)
        options["shuffle_within"] = fitting
        if num_examples <= fitting:
            with tf.device("CPU:0"):
                options["in_memory"] = next(iter(stored(None).batch(num_examples)))
    return make_epochs(
        stored,
        num_examples,
        batch_size,
        finish=finish,
        drop_remainder=drop_remainder,
        seed=seed,
        description=description,
        **options,
    ).new_each_pass()


def _bytes_each(dataset):
    """Return the size of an example in memory."""
    specs = tf.nest.flatten(dataset.element_spec)
    return sum(spec.shape.num_elements() * spec.dtype.size for spec in specs)


def _bernoulli(images, seed):
    # An integer drawn from 0..254 is below v with probability v / 255 exactly.
    draws = tf.random.stateless_uniform(
        tf.shape(images), seed, 0, 255, tf.int32, alg="philox"
    )
    return tf.cast(draws < tf.cast(images, tf.int32), tf.uint8)


def _bernoulli_by_8_bits(images, seed, tie_seed):
    # A quarter as many random numbers, whose drawing is most of the time to read binary
    # images. A number of 0..255, less 1 where it is above a second one of 0..254, is
    # each of 0..254 with equal probability, so it is below v with probability v / 255
    # exactly. All images of a call share the second numbers, which matter for one
    # pixel in 256.
    size = tf.size(images)
    draws = tf.random.stateless_uniform(
        ((size + 3) // 4,), seed, None, None, tf.int32, alg="philox"
    )
    draws = tf.reshape(tf.bitcast(draws, tf.uint8), (-1,))[:size]
    draws = tf.reshape(draws, tf.shape(images))
    limits = tf.random.stateless_uniform(
        tf.shape(images)[1:], tie_seed, 0, 255, tf.int32, alg="philox"
    )
    draws -= tf.cast(draws > tf.cast(limits, tf.uint8), tf.uint8)
    return tf.cast(draws < images, tf.uint8)
