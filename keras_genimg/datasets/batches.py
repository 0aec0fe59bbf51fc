"""Batches of pixels for models, made from single displayable images."""

import operator
import types
import zlib
from typing import Any

import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.datasets.epochs import (
    CROPS,
    FLIPS,
    PIXELS,
    TIES,
    make_epochs,
    stream,
)
from keras_genimg.datasets.patches import cut, free_places, random_integers
from keras_genimg.ops.checks import check_choice, check_int, check_positive_int, is_int

# Shuffled data sets up to this size are held in memory; larger ones are shuffled within
# windows of this size.
MAX_BYTES = 2**29


def batch_options(given, fixed=False, **others):
    """Return the arguments of `load` that `make_batches` needs, checked.

    Args:
        given: Arguments of `load`, or of a function that has some of them, by name.
        fixed: Whether a likelihood of binarized pixels gets the same pixels in each
            epoch.
        **others: Arguments of `load` that the function does not have.

    Returns:
        A namespace of checked arguments, and of `given` as it is.

    Raises:
        ValueError: If an argument is out of range, or they exclude each other.
    """
    arguments = {**given, **others}
    chosen = {name: arguments.get(name) for name in ("binarize", "num_values")}
    chosen["intensities"] = arguments.get("intensities") or None
    chosen = {name: value for name, value in chosen.items() if value is not None}
    likelihood = arguments.get("likelihood")
    if likelihood is not None:
        chosen = _with_likelihood(likelihoods.get(likelihood), chosen, fixed)
    defaults = {"binarize": None, "num_values": 256, "intensities": False}
    pixels = {**defaults, **chosen}
    check_choice("binarize", pixels["binarize"], (None, "dynamic", "fixed"))
    check_int("num_values", pixels["num_values"], smallest=2, largest=256)
    if sum(pixels[name] != defaults[name] for name in pixels) > 1:
        received = ", ".join(f"{name}={value!r}" for name, value in pixels.items())
        raise ValueError(
            f"`binarize`, `num_values` and `intensities` exclude each other. Received: "
            f"{received}"
        )
    crop_size = checked_size("crop_size", arguments.get("crop_size"))
    random_crop = arguments.get("random_crop", False)
    if random_crop and crop_size is None:
        raise ValueError(
            "`random_crop=True` needs `crop_size`. Received: "
            f"random_crop={random_crop!r}, crop_size=None"
        )
    return types.SimpleNamespace(
        given=given,
        batch_size=check_positive_int("batch_size", arguments["batch_size"]),
        seed=check_int("seed", arguments["seed"]),
        shuffle=arguments.get("shuffle", False),
        drop_remainder=arguments["drop_remainder"],
        crop_size=crop_size,
        random_crop=random_crop,
        random_flip=arguments.get("random_flip", False),
        **pixels,
    )


def _with_likelihood(likelihood, given, fixed):
    """Return the arguments that a likelihood asks for, or raise if `given` differ."""
    values = likelihood.num_values
    if values is None:
        wanted = {"intensities": True}
    elif likelihood.binarizes:
        wanted = {"binarize": "fixed" if fixed else "dynamic"}
    else:
        wanted = {"num_values": values}
    if values is not None and values > 256:
        raise ValueError(
            f"Images have 8 bits, so their pixels take at most 256 values. Give "
            f"`likelihood` no more. Received: likelihood={likelihood}"
        )
    if values == 2 and list(given) == ["binarize"]:
        return given  # The caller decides how pixels become 0 and 1.
    for name, value in given.items():
        if wanted.get(name) != value:
            asked = ", ".join(f"{key}={value!r}" for key, value in wanted.items())
            raise ValueError(
                f"`likelihood` and `{name}` contradict each other: {likelihood} asks "
                f"for {asked}. Leave out `{name}`, or `likelihood`. Received: "
                f"likelihood={likelihood}, {name}={value!r}"
            )
    return wanted


def checked_size(name: str, value: Any) -> tuple[int, int] | None:
    """Return `value` as a pair `(height, width)`, or `None` if it is `None`.

    Args:
        name: Name of the argument, for the error text.
        value: A pair of integers, one integer for both, or `None`.

    Raises:
        ValueError: If `value` is none of these, or below 1.
    """
    if value is None:
        return None
    size = (value, value) if is_int(value) else value
    is_pair = isinstance(size, (tuple, list)) and len(size) == 2
    if not is_pair or not all(is_int(side) and side >= 1 for side in size):
        raise ValueError(
            f"`{name}` must be an integer of at least 1, a pair of them (height, "
            f"width), or None. Received: {name}={value!r}"
        )
    height, width = size
    return height, width


def make_batches(examples, options, arrays, parts, num_examples=None):
    """Batch examples and convert their pixels, see `load`.

    Args:
        examples: `tf.data.Dataset` of known cardinality, or a function that returns the
            data set of an epoch from its key, see `Epochs`. Elements are dicts with
            `"images"`, `uint8` of shape `(height, width, colors)`.
        options: Result of `batch_options`.
        arrays: Dict of the arrays that are in memory, for the description of `Epochs`.
        parts: Keys of what an element of the result consists of, a tensor or a tuple;
            None for the whole dict.
        num_examples: Number of examples, for a function.

    Returns:
        A `tf.data.Dataset` of known cardinality, with the attribute `epochs`.

    Raises:
        ValueError: If `drop_remainder` leaves no batch, or the crops are larger than
            the images.
    """
    batch_size, crop_size = options.batch_size, options.crop_size
    if num_examples is None:
        num_examples = int(examples.cardinality())
    if options.drop_remainder and batch_size > num_examples:
        raise ValueError(
            f"`drop_remainder=True` leaves no batch of {num_examples} images. Use a "
            f"smaller `batch_size`. Received: batch_size={batch_size}"
        )
    if crop_size is not None:
        image_size = examples.element_spec["images"].shape[:2]
        places = free_places(crop_size, image_size, crop_size=crop_size)

    def binarize_once(position, example):
        images = _bernoulli(example["images"], tf.stack([options.seed, position]))
        return {**example, "images": images}

    def finish(batch, key, index):
        images = batch["images"]
        if options.random_crop:
            crop_seed = stream(key, CROPS, index)
            corners = random_integers(crop_seed, tf.shape(images)[:1], places)
            images = cut(images, corners, crop_size)
        elif crop_size is not None:
            top, left = ((place - 1) // 2 for place in places)
            images = images[:, top : top + crop_size[0], left : left + crop_size[1]]
        if options.random_flip:
            flip_seed = stream(key, FLIPS, index)
            is_flipped = random_integers(flip_seed, tf.shape(images)[:1], (2,))
            is_flipped = tf.reshape(is_flipped, (-1, 1, 1, 1)) > 0
            images = tf.where(is_flipped, images[:, :, ::-1], images)
        if options.binarize == "dynamic":
            seeds = (stream(key, kind, index) for kind in (PIXELS, TIES))
            images = _bernoulli_by_8_bits(images, *seeds)
        elif options.intensities:
            images = tf.cast(images, tf.float32) / 255
        elif options.num_values < 256:
            # Rounds to nearest; 255 is odd, so there are no ties.
            scaled = tf.cast(images, tf.int32) * (options.num_values - 1)
            images = tf.cast((scaled + 127) // 255, tf.uint8)
        batch = {**batch, "images": images}
        return batch if parts is None else operator.itemgetter(*parts)(batch)

    def stored(key) -> tf.data.Dataset:
        found: Any = examples(key) if callable(examples) else examples
        if options.binarize == "fixed":
            found = found.enumerate().map(
                binarize_once, num_parallel_calls=tf.data.AUTOTUNE
            )
        return found

    in_memory, fitting = None, 0
    if options.shuffle:
        specs = tf.nest.flatten(examples.element_spec)
        sizes = [spec.shape.num_elements() * spec.dtype.size for spec in specs]
        fitting = MAX_BYTES // sum(sizes)
        if num_examples <= fitting:
            with tf.device("CPU:0"):
                in_memory = next(iter(stored(None).batch(num_examples)))
    return make_epochs(
        stored,
        num_examples,
        batch_size,
        in_memory=in_memory,
        finish=finish,
        shuffle_within=fitting,
        drop_remainder=options.drop_remainder,
        seed=options.seed,
        description=describe(options.given, arrays),
    ).new_each_pass()


def describe(arguments, arrays):
    """Return arguments and checksums of arrays, which tell data sets apart.

    With checksums, a name says nothing more: the path of a folder may change.
    """
    texts = {name: str(value) for name, value in arguments.items()}
    for added in ("random_flip", "color_mode"):
        if not arguments.get(added):
            texts.pop(added, None)  # Runs from before it was added can resume.
    if arrays:
        texts.pop("name", None)
    checksums = {key: zlib.crc32(array) for key, array in arrays.items()}
    return {**texts, "checksums": checksums}


def _bernoulli(images, seed):
    # An integer drawn from 0..254 is below v with probability v / 255 exactly.
    draws = tf.random.stateless_uniform(
        tf.shape(images), seed, 0, 255, tf.int32, alg="philox"
    )
    return tf.cast(draws < tf.cast(images, tf.int32), tf.uint8)


def _bernoulli_by_8_bits(images, seed, tie_seed):
    # Random numbers take most of the time to read binary images. A quarter as many
    # suffice if each byte is a number. A number of 0..255, less 1 where it is above a
    # second one of 0..254, is each of 0..254 with equal probability, so it is below v
    # with probability v / 255 exactly. All images of a call share the second numbers,
    # which matter for one pixel in 256.
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
