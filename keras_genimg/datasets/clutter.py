"""Digits among fragments of other digits, which an attentive model is to classify."""

import operator

import tensorflow as tf

from keras_genimg.datasets.batches import make_batches
from keras_genimg.datasets.canvases import (
    checked_canvas_size,
    draw_examples,
    in_proportion,
    read_split,
)
from keras_genimg.datasets.checks import check_int, checked_size
from keras_genimg.datasets.patches import cut, free_places, paste, random_integers


def cluttered_digits(
    name="digits",
    split="train",
    canvas_size=None,
    num_clutter=8,
    clutter_size=None,
    batch_size=32,
    num_images=None,
    seed=0,
    fixed=False,
    drop_remainder=False,
):
    """Return images of a digit among fragments of other digits, with its label.

    A digit of the split lies at a place drawn uniformly among all at which it is within
    the canvas. So do `num_clutter` fragments, each cut at a uniform place out of a
    digit that is drawn from all but this one. What overlaps is added and clipped at 1.
    All of it is new at each pass over the data, unless `fixed`. The papers put digits
    of MNIST on canvases of 100 by 100 pixels with 8 fragments of 8 by 8.

    Elements are what `model.fit` takes: pairs `(images, labels)` with `float32` images
    in [0, 1] of shape `(batch, height, width, colors)` and `int32` labels of shape
    `(batch,)`. Draws are the same in each run for the same `seed`. They also depend on
    the global seed of TensorFlow where one is set, unless `fixed`.

    Args:
        name: As `load` takes it. The papers' is `"mnist"`.
        split: As `load` takes it, of two images or more. All are held in memory.
        canvas_size: `(height, width)` of the canvas, or one integer for both. `None`
            takes the papers' 100 by 100 pixels for digits of 28 by 28, and for others
            the same proportion, 29 by 29 for those of `"digits"`.
        num_clutter: Fragments on a canvas. With 0, digits are but translated.
        clutter_size: `(height, width)` of a fragment, or one integer for both. `None`
            takes the papers' 8 by 8 pixels for digits of 28 by 28, and for others the
            same proportion, 2 by 2 for those of `"digits"`.
        batch_size: Images in a batch. The last batch may be smaller.
        num_images: Images of a pass. `None` takes as many as the split has.
        seed: Integer that decides the draws.
        fixed: Whether each pass gives the same images, as a test set must. Each then
            depends on `seed` and its position alone, and the digits of the split come
            in turn. Otherwise they are drawn uniformly.
        drop_remainder: Whether to drop a last batch that is not full.

    Returns:
        A `tf.data.Dataset` of known cardinality.

    Raises:
        ImportError: If `"digits"` is asked for and scikit-learn is not installed.
        ValueError: If an argument is unknown or out of range, `load` refuses name or
            split, the data set has no labels, the canvas is smaller than a digit, or a
            digit smaller than a fragment.

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
    check_int("batch_size", batch_size, 1)
    check_int("num_clutter", num_clutter, 0)
    if num_images is not None:
        check_int("num_images", num_images, 1)
    check_int("seed", seed)
    digits, labels = read_split(name, split, labels=True)
    num_digits, *digit_size, colors = digits.shape
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
            "Clutter is cut out of other digits, and the split has but one. Received: "
            f"split={split!r}"
        )

    digit_limits = (num_digits, *free_places(digit_size, canvas_size))
    fragment_limits = (
        num_digits - 1,
        *free_places(fragment_size, digit_size),
        *free_places(fragment_size, canvas_size),
    )

    def draw_clutter(which, seed):
        shape = (which.shape[0], num_clutter)
        # (canvases, clutter, 5): which other digit, row and column in it and on canvas
        drawn = random_integers(seed, shape, fragment_limits)
        # Steps of 1 to num_digits - 1 lead to all digits but the first.
        others = (which[:, None] + 1 + drawn[..., 0]) % num_digits
        sources = tf.gather(digits, tf.reshape(others, (-1,)))
        corners = tf.reshape(drawn[..., 1:3], (-1, 2))
        fragments = cut(sources, corners, fragment_size)
        fragments = tf.reshape(fragments, (*shape, *fragment_size, colors))
        return paste(fragments, drawn[..., 3:], canvas_size)

    def draw(positions, seed):
        seeds = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        # (canvases, 3): which digit, its row and its column
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
        intensities=True,
        seed=seed,
        drop_remainder=drop_remainder,
        pick=operator.itemgetter("images", "label"),
    )
