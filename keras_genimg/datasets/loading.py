"""Batched images for training and evaluation."""

import numbers

import tensorflow as tf

from keras_genimg.datasets.digits import read_digits
from keras_genimg.datasets.tfds_images import read_tfds


def load(
    name,
    split="train",
    batch_size=32,
    image_size=None,
    binarize=None,
    num_values=256,
    seed=0,
    shuffle=False,
    drop_remainder=False,
    labels=False,
):
    """Return a split of an image data set as batches.

    Elements are images of shape `(batch, height, width, colors)`, `uint8`, and their
    pixels are `v` in 0..255 unless `num_values` or `binarize` is given:

    - `num_values=n` gives the integer nearest to `v * (n - 1) / 255`, in 0..n-1.
    - `binarize` gives 1 with probability `v / 255` and 0 otherwise. `"dynamic"` draws
      anew at each pass over the data. `"fixed"` draws once: the result depends on
      `seed` and the image's position in `split` alone.

    The number of batches is always known to Keras. Draws and order are the same in
    each run for the same `seed`; those of `"dynamic"` and `shuffle` also depend on the
    global seed of TensorFlow where one is set, as by `keras.utils.set_random_seed`.

    Args:
        name: `"digits"` for the 8 by 8 digits of scikit-learn, or the name of an image
            data set of tensorflow_datasets, such as `"mnist"` or `"cifar10"`. The
            latter is downloaded unless it lies prepared in the folder that the
            environment variable `TFDS_DATA_DIR` names.
        split: `"train"`, `"test"`, or another split of the data set. For data sets
            of tensorflow_datasets also a slice, as in `"train[:80%]"`.
        batch_size: Images in a batch. The last batch may be smaller.
        image_size: `(height, width)`, or one integer for both, that images are resized
            to by antialiased bilinear interpolation. `None` keeps their size.
        binarize: `None`, `"dynamic"` or `"fixed"`.
        num_values: Number of values that a pixel can take, 2 to 256.
        seed: Integer that decides binarization and order.
        shuffle: Whether to shuffle anew at each pass, uniformly for splits of up to
            65536 images and within a window of that many for larger ones.
        drop_remainder: Whether to drop a last batch that is not full.
        labels: Whether elements are `{"images": images, "label": labels}` with `int32`
            labels of shape `(batch,)`, which class-conditional models are fitted to.

    Returns:
        A `tf.data.Dataset` of known cardinality.

    Raises:
        ImportError: If `"digits"` is asked for and scikit-learn is not installed.
        ValueError: If an argument is unknown or out of range, the split holds no
            example or less than one batch that is kept, or the data set has no 8-bit
            images or no labels where they are asked for.

    Example:
        >>> from keras_genimg.datasets import load
        >>> dataset = load("digits", batch_size=100, num_values=17)
        >>> dataset.element_spec
        TensorSpec(shape=(None, 8, 8, 1), dtype=tf.uint8, name=None)
        >>> int(dataset.cardinality())
        15
    """
    image_size = _checked_size(image_size)
    _check_arguments(batch_size, binarize, num_values, seed)
    if name == "digits":
        dataset = read_digits(split)
    else:
        dataset = read_tfds(name, split, labels, any_size=image_size is not None)
    num_examples = int(dataset.cardinality())
    if drop_remainder and batch_size > num_examples:
        raise ValueError(
            f"split={split!r} of {name!r} has {num_examples} examples, less than one "
            "batch, and `drop_remainder=True` leaves none. Use a smaller `batch_size`. "
            f"Received: batch_size={batch_size}"
        )

    def prepare(position, example):
        images = example["images"]
        if image_size is not None:
            images = _resize(images, image_size)
        if binarize == "fixed":
            images = _bernoulli(images, tf.stack([seed, position]))
        return {**example, "images": images}

    def finish(example, batch_seed):
        images = example["images"]
        if binarize == "dynamic":
            images = _bernoulli(images, batch_seed)
        elif num_values < 256:
            # Rounds to nearest. There are no ties, since 255 is odd.
            scaled = tf.cast(images, tf.int32) * (num_values - 1)
            images = tf.cast((scaled + 127) // 255, tf.uint8)
        return {"images": images, "label": example["label"]} if labels else images

    parallel = tf.data.AUTOTUNE
    if image_size is not None or binarize == "fixed":
        dataset = dataset.enumerate().map(prepare, num_parallel_calls=parallel)
    if shuffle:
        dataset = dataset.shuffle(min(num_examples, 65536), seed=seed)
    dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
    # A new pair of seeds for each batch of each pass.
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
    dataset = tf.data.Dataset.zip(dataset, seeds)
    dataset = dataset.map(finish, num_parallel_calls=parallel).prefetch(parallel)
    # Workers share out batches: sharing out files would change the positions.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return dataset.with_options(options)


def _resize(image, size):
    resized = tf.image.resize(image, size, method="bilinear", antialias=True)
    return tf.saturate_cast(tf.round(resized), tf.uint8)


def _bernoulli(images, seed):
    # An integer drawn from 0..254 is below v with probability v / 255 exactly.
    draws = tf.random.stateless_uniform(
        tf.shape(images), seed, 0, 255, tf.int32, alg="philox"
    )
    return tf.cast(draws < tf.cast(images, tf.int32), tf.uint8)


def _is_int(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _checked_size(image_size):
    size = (image_size, image_size) if _is_int(image_size) else image_size
    if size is None:
        return None
    is_pair = isinstance(size, (tuple, list)) and len(size) == 2
    if not is_pair or not all(_is_int(side) and side >= 1 for side in size):
        raise ValueError(
            "`image_size` must be an integer of at least 1, a pair of them (height, "
            f"width), or None. Received: image_size={image_size!r}"
        )
    return tuple(size)


def _check_arguments(batch_size, binarize, num_values, seed):
    if not _is_int(batch_size) or batch_size < 1:
        raise ValueError(
            "`batch_size` must be an integer of at least 1. "
            f"Received: batch_size={batch_size!r}"
        )
    if binarize not in (None, "dynamic", "fixed"):
        raise ValueError(
            '`binarize` must be None, "dynamic" or "fixed". '
            f"Received: binarize={binarize!r}"
        )
    if not _is_int(num_values) or not 2 <= num_values <= 256:
        raise ValueError(
            "`num_values` must be an integer from 2 to 256. "
            f"Received: num_values={num_values!r}"
        )
    if binarize is not None and num_values != 256:
        raise ValueError(
            "`binarize` and `num_values` exclude each other. Received: "
            f"binarize={binarize!r}, num_values={num_values}"
        )
    if not _is_int(seed):
        raise ValueError(f"`seed` must be an integer. Received: seed={seed!r}")
