"""Digits among fragments of other digits, for classifiers with attention."""

import operator

import tensorflow as tf

from keras_genimg.datasets.batches import make_batches
from keras_genimg.datasets.canvases import (
    checked_canvas_size,
    draw_examples,
    in_proportion,
    read_split,
)
from keras_genimg.datasets.checks import checked_size
from keras_genimg.datasets.patches import cut, free_places, paste, random_integers
from keras_genimg.ops.checks import check_int, check_positive_int
from keras_genimg.types import Shape


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

    A digit of the split is placed uniformly at random within the canvas. So are
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
    given = {name: str(value) for name, value in locals().items()}
    check_positive_int("batch_size", batch_size)
    check_int("num_clutter", num_clutter, smallest=0)
    if num_images is not None:
        check_positive_int("num_images", num_images)
    check_int("seed", seed)
    digits, labels = read_split(name, split, labels=True)
    num_digits = len(digits)
    *digit_size, colors = digits.shape[1:]
    canvas_size = checked_canvas_size(canvas_size, digits, side=100)
    fragment_size = checked_size("clutter_size", clutter_size)
    fragment_size = fragment_size or in_proportion(digits, side=8)
    if fragment_size[0] > digit_size[0] or fragment_size[1] > digit_size[1]:
        raise ValueError(
            f"`clutter_size` must be at most the digits' size {tuple(digit_size)}. "
            f"Received: clutter_size={clutter_size!r}"
        )
    if num_clutter > 0 and num_digits < 2:
        raise ValueError(
            "Clutter is cut out of other digits, but the split has only one. Use a "
            f"larger split, or num_clutter=0. Received: split={split!r}"
        )

    digit_limits = (num_digits, *free_places(digit_size, canvas_size))
    fragment_limits = (
        num_digits - 1,
        *free_places(fragment_size, digit_size),
        *free_places(fragment_size, canvas_size),
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
        return paste(fragments, drawn[..., 3:], canvas_size)

    def draw(positions, seed):
        seeds = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        # (canvases, 3): digit, row and column.
        drawn = random_integers(seeds[0], positions.shape, digit_limits)
        if fixed:
            which = tf.cast(positions % num_digits, tf.int32)
        else:
            which = drawn[:, 0]
        patches = tf.gather(digits, which)[:, None]
        canvases = paste(patches, drawn[:, None, 1:], canvas_size)
        if num_clutter > 0:
            canvases += draw_clutter(which, seeds[1])
        images = tf.cast(tf.minimum(canvases, 255), tf.uint8)
        return {"images": images, "label": tf.gather(labels, which)}

    return make_batches(
        draw_examples(draw, num_images or num_digits, seed, fixed),
        batch_size,
        num_examples=num_images or num_digits,
        intensities=True,
        seed=seed,
        drop_remainder=drop_remainder,
        pick=operator.itemgetter("images", "label"),
        description=given,
    )
