"""Canvases composed of digits at random places: pairs, and digits among clutter."""

from typing import Literal

import tensorflow as tf

from keras_genimg.datasets.batches import batch_options, checked_size, make_batches
from keras_genimg.datasets.epochs import CANVASES, stream
from keras_genimg.datasets.loading import as_array, load
from keras_genimg.datasets.patches import cut, free_places, paste, random_integers
from keras_genimg.likelihoods import Likelihood
from keras_genimg.ops.checks import check_int, check_positive_int
from keras_genimg.types import Config, Shape

# Canvases per pair of seeds. Changing it changes the data sets with `fixed=True`.
BLOCK_SIZE = 128


def two_digits(
    name: str = "digits",
    split: str = "train",
    canvas_size: int | Shape | None = None,
    batch_size: int = 32,
    num_images: int | None = None,
    binarize: Literal["dynamic", "fixed"] | None = None,
    num_values: int | None = None,
    intensities: bool = False,
    seed: int = 0,
    fixed: bool = False,
    drop_remainder: bool = False,
    likelihood: str | Config | Likelihood | None = None,
) -> tf.data.Dataset:
    """Return batches of images of two digits at random places.

    Both digits are drawn independently and uniformly from the split, and placed
    uniformly within the canvas. Overlapping pixels are added and clipped at 255. Images
    are new in each epoch, unless `fixed`.

    Elements are images of shape `(batch, height, width, colors)`, `uint8` in 0..255 or
    converted by `binarize`, `num_values`, `intensities` or `likelihood`, see `load`.
    The same `seed` gives the same images in each run. Unless fixed, they also depend
    on TensorFlow's global seed, if it is set.

    Args:
        name: Name of the data set, see `load`. The paper uses `"mnist"`.
        split: Name of the split, see `load`. All its images are held in memory.
        canvas_size: `(height, width)` of the canvas, or one integer for both. `None` is
            the paper's 60 by 60 pixels for digits of 28 by 28, and in proportion for
            others: 17 by 17 for `"digits"`.
        batch_size: Images per batch. The last batch may be smaller.
        num_images: Images per epoch. `None` is the number of images in the split.
        binarize: `None`, `"dynamic"` or `"fixed"`. The last needs `fixed=True`.
        num_values: Number of values of a pixel, 2 to 256. `None` is 256.
        intensities: Whether pixels are real numbers in [0, 1].
        seed: Integer seed of the draws.
        fixed: Whether each epoch has the same images, for test sets. Each image then
            depends on `seed` and its position alone.
        drop_remainder: Whether to drop an incomplete last batch.
        likelihood: `None`, or a likelihood by name or object, such as
            `model.likelihood`, that the pixels are prepared for. `Bernoulli` gives
            `binarize="fixed"` if `fixed`, else `"dynamic"`.

    Returns:
        A `tf.data.Dataset` of known cardinality.

    Raises:
        ImportError: If `name="digits"` and scikit-learn is not installed.
        ValueError: If an argument is invalid, or the canvas is smaller than a digit.

    Example:
        >>> from keras_genimg.datasets import two_digits
        >>> train = two_digits("digits", binarize="dynamic")
        >>> test = two_digits("digits", "test", binarize="fixed", fixed=True)
        >>> test.element_spec
        TensorSpec(shape=(None, 17, 17, 1), dtype=tf.uint8, name=None)

    References:
        Gregor et al., DRAW, 2015, section 4.3, https://arxiv.org/abs/1502.04623
    """
    given = locals().copy()
    options = batch_options(given, fixed)
    if options.binarize == "fixed" and not fixed:
        raise ValueError(
            '`binarize="fixed"` needs `fixed=True`, since images are otherwise new in '
            f"each epoch. Received: binarize={binarize!r}, fixed={fixed!r}"
        )
    digits = _read_split(name, split, labels=False)
    num_digits, *digit_size, _ = digits.shape
    size = _checked_or_default("canvas_size", canvas_size, digits, side=60)
    limits = (num_digits, *free_places(digit_size, size, canvas_size=canvas_size))

    def draw(positions, seed):
        # (canvases, 2, 3): digit, row and column.
        drawn = random_integers(seed, (positions.shape[0], 2), limits)
        pairs = tf.gather(digits, drawn[..., 0])
        canvases = paste(pairs, drawn[..., 1:], size)
        return {"images": tf.cast(tf.minimum(canvases, 255), tf.uint8)}

    return _canvases(draw, options, num_digits, ("images",))


def cluttered_digits(
    name: str = "digits",
    split: str = "train",
    canvas_size: int | Shape | None = None,
    num_clutter: int = 8,
    clutter_size: int | Shape | None = None,
    batch_size: int = 32,
    num_images: int | None = None,
    seed: int = 0,
    fixed: bool = False,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Return images of a digit among fragments of other digits, with its label.

    A digit of the split is placed uniformly at random within the canvas, and with it
    `num_clutter` fragments, each cut at a uniform place out of another random digit.
    Overlapping pixels are added and clipped at 1. Images are new in each epoch, unless
    `fixed`. The papers put digits of MNIST on canvases of 100 by 100 pixels with 8
    fragments of 8 by 8.

    Elements are pairs `(images, labels)` for `model.fit`, with `float32` images in
    [0, 1] of shape `(batch, height, width, colors)` and `int32` labels of shape
    `(batch,)`. The same `seed` gives the same images in each run. Unless `fixed`, they
    also depend on TensorFlow's global seed, if it is set.

    Args:
        name: Name of the data set, see `load`. The papers use `"mnist"`.
        split: Name of the split, see `load`; two images or more, all held in memory.
        canvas_size: `(height, width)` of the canvas, or one integer for both. `None` is
            the papers' 100 by 100 pixels for digits of 28 by 28, and in proportion for
            others: 29 by 29 for `"digits"`.
        num_clutter: Number of fragments per canvas. With 0, digits are only translated.
        clutter_size: `(height, width)` of a fragment, or one integer for both. `None`
            is the papers' 8 by 8 pixels for digits of 28 by 28, and in proportion for
            others: 2 by 2 for `"digits"`.
        batch_size: Images per batch. The last batch may be smaller.
        num_images: Images per epoch. `None` is the number of images in the split.
        seed: Integer seed of the draws.
        fixed: Whether each epoch has the same images, for test sets. Each image then
            depends on `seed` and its position alone, and the digits of the split are
            used in order. Otherwise digits are drawn uniformly.
        drop_remainder: Whether to drop an incomplete last batch.

    Returns:
        A `tf.data.Dataset` of known cardinality.

    Raises:
        ImportError: If `name="digits"` and scikit-learn is not installed.
        ValueError: If an argument is invalid, the data set has no labels, the canvas is
            smaller than a digit, or a digit is smaller than a fragment.

    Example:
        >>> from keras_genimg.datasets import cluttered_digits
        >>> train = cluttered_digits("digits", num_images=10000)
        >>> test = cluttered_digits("digits", "test", fixed=True)
        >>> [spec.shape for spec in test.element_spec]
        [TensorShape([None, 29, 29, 1]), TensorShape([None])]

    References:
        Gregor et al., DRAW, 2015, section 4.1, https://arxiv.org/abs/1502.04623
        Mnih et al., Recurrent Models of Visual Attention, 2014,
        https://arxiv.org/abs/1406.6247
    """
    given = locals().copy()
    options = batch_options(given, intensities=True)
    num_clutter = check_int("num_clutter", num_clutter, smallest=0)
    arrays = _read_split(name, split, labels=True)
    digits, labels = arrays["images"], arrays["label"]
    num_digits = len(digits)
    *digit_size, colors = digits.shape[1:]
    size = _checked_or_default("canvas_size", canvas_size, digits, side=100)
    fragment_size = _checked_or_default("clutter_size", clutter_size, digits, side=8)
    if num_clutter > 0 and num_digits < 2:
        raise ValueError(
            "Clutter is cut out of other digits, but the split has only one. Use a "
            f"larger split, or num_clutter=0. Received: split={split!r}"
        )

    digit_limits = (num_digits, *free_places(digit_size, size, canvas_size=canvas_size))
    fragment_limits = (
        num_digits - 1,
        *free_places(fragment_size, digit_size, clutter_size=clutter_size),
        *free_places(fragment_size, size),
    )

    def draw_clutter(which, seed):
        shape = (which.shape[0], num_clutter)
        # (canvases, clutter, 5): other digit, row and column in it and on the canvas.
        drawn = random_integers(seed, shape, fragment_limits)
        # Steps of 1 to num_digits - 1 reach all digits but this one.
        others = (which[:, None] + 1 + drawn[..., 0]) % num_digits
        sources = tf.gather(digits, tf.reshape(others, (-1,)))
        corners = tf.reshape(drawn[..., 1:3], (-1, 2))
        fragments = cut(sources, corners, fragment_size)
        fragments = tf.reshape(fragments, (*shape, *fragment_size, colors))
        return paste(fragments, drawn[..., 3:], size)

    def draw(positions, seed):
        seeds = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        # (canvases, 3): digit, row and column.
        drawn = random_integers(seeds[0], positions.shape, digit_limits)
        if fixed:
            which = tf.cast(positions % num_digits, tf.int32)
        else:
            which = drawn[:, 0]
        patches = tf.gather(digits, which)[:, None]
        canvases = paste(patches, drawn[:, None, 1:], size)
        if num_clutter > 0:
            canvases += draw_clutter(which, seeds[1])
        images = tf.cast(tf.minimum(canvases, 255), tf.uint8)
        return {"images": images, "label": tf.gather(labels, which)}

    return _canvases(draw, options, num_digits, ("images", "label"))


def _read_split(name, split, labels):
    """Return all images of a split as a tensor, or a dict of images and labels."""
    arrays = as_array(load(name, split, batch_size=1024, labels=labels))
    # Canvases are made on the CPU, whatever device the model runs on.
    with tf.device("CPU:0"):
        return tf.nest.map_structure(tf.constant, arrays)


def _checked_or_default(name, size, digits, side) -> tuple[int, int]:
    """Return a size; by default `side` for MNIST, in proportion for other digits."""
    height, width = (max(1, round(length * side / 28)) for length in digits.shape[1:3])
    return checked_size(name, size) or (height, width)


def _canvases(draw, options, num_digits, parts):
    """Return batches of randomly drawn canvases.

    Args:
        draw: Function of positions, `int64` of shape `(BLOCK_SIZE,)`, and a pair of
            seeds. It returns a dict of tensors with one example per position.
        options: Result of `batch_options` for the arguments of the public function.
        num_digits: Number of examples per epoch, if `num_images` is None.
        parts: See `make_batches`.
    """
    num_images = options.given["num_images"]
    num_images = num_digits if num_images is None else num_images
    num_images = check_positive_int("num_images", num_images)

    def examples(key):
        def draw_block(block):
            positions = block * BLOCK_SIZE + tf.range(BLOCK_SIZE, dtype=tf.int64)
            if options.given["fixed"]:
                seed = tf.random.fold_in(
                    tf.stack([options.seed, block]), 1, alg="philox"
                )
            else:
                seed = stream(key, CANVASES, block)
            return draw(positions, seed)

        blocks = tf.data.Dataset.range(-(-num_images // BLOCK_SIZE))
        blocks = blocks.map(draw_block, num_parallel_calls=tf.data.AUTOTUNE)
        return blocks.unbatch().take(num_images)

    return make_batches(examples, options, {}, parts, num_images)
