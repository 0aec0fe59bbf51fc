"""Two digits on a canvas, which DRAW is trained to draw."""

import operator

import tensorflow as tf

from keras_genimg.datasets.batches import make_batches
from keras_genimg.datasets.canvases import (
    checked_canvas_size,
    draw_examples,
    read_split,
)
from keras_genimg.datasets.checks import check_int
from keras_genimg.datasets.patches import free_places, paste, random_integers
from keras_genimg.datasets.pixels import pixel_options


def two_digits(
    name="digits",
    split="train",
    canvas_size=None,
    batch_size=32,
    num_images=None,
    binarize=None,
    num_values=None,
    intensities=False,
    seed=0,
    fixed=False,
    drop_remainder=False,
    likelihood=None,
):
    """Return images of two digits at random places as batches.

    Both digits are drawn independently and uniformly from the split, and so are their
    places among all at which a digit lies within the canvas. Where they overlap, their
    pixels are added and clipped at 255. Digits and places are new at each pass over
    the data, unless `fixed`.

    Elements are as those of `load`: images of shape `(batch, height, width, colors)`,
    `uint8` with pixels in 0..255, or what `binarize`, `num_values`, `intensities` or
    `likelihood` makes of these. Draws are the same in each run for the same `seed`.
    They also depend on the global seed of TensorFlow where one is set, except for what
    is fixed.

    Args:
        name: As `load` takes it. The paper's is `"mnist"`.
        split: As `load` takes it. All its images are held in memory.
        canvas_size: `(height, width)` of the canvas, or one integer for both. `None`
            takes the paper's 60 by 60 pixels for digits of 28 by 28, and for others
            the same proportion, 17 by 17 for those of `"digits"`.
        batch_size: Images in a batch. The last batch may be smaller.
        num_images: Images of a pass. `None` takes as many as the split has.
        binarize: `None`, `"dynamic"` or `"fixed"`. The last needs `fixed=True`.
        num_values: As `load` takes it.
        intensities: Whether pixels are real numbers in [0, 1].
        seed: Integer that decides the draws.
        fixed: Whether each pass gives the same images, as a test set must. Each then
            depends on `seed` and its position alone.
        drop_remainder: Whether to drop a last batch that is not full.
        likelihood: As `load` takes it. `Bernoulli` gives `binarize="fixed"` if `fixed`,
            else `"dynamic"`.

    Returns:
        A `tf.data.Dataset` of known cardinality.

    Raises:
        ImportError: If `"digits"` is asked for and scikit-learn is not installed.
        ValueError: If an argument is unknown or out of range, `load` refuses name or
            split, or the canvas is smaller than a digit.

    Example:
        >>> from keras_genimg.datasets import two_digits
        >>> train = two_digits("digits", binarize="dynamic")
        >>> test = two_digits("digits", "test", binarize="fixed", fixed=True)
        >>> test.element_spec
        TensorSpec(shape=(None, 17, 17, 1), dtype=tf.uint8, name=None)

    References:
        Gregor et al., DRAW, 2015, section 4.3, https://arxiv.org/abs/1502.04623
    """
    check_int("batch_size", batch_size, 1)
    if num_images is not None:
        check_int("num_images", num_images, 1)
    binarize, num_values, intensities = pixel_options(
        likelihood, binarize, num_values, intensities, fixed
    )
    check_int("seed", seed)
    if binarize == "fixed" and not fixed:
        raise ValueError(
            '`binarize="fixed"` needs `fixed=True`, since images are new at each pass '
            f"otherwise. Received: binarize={binarize!r}, fixed={fixed!r}"
        )
    digits, _ = read_split(name, split, labels=False)
    num_digits, *digit_size, _ = digits.shape
    canvas_size = checked_canvas_size(canvas_size, digits, side=60)

    limits = (num_digits, *free_places(digit_size, canvas_size))

    def draw(positions, seed):
        # (canvases, 2, 3): which digit, its row and its column
        drawn = random_integers(seed, (positions.shape[0], 2), limits)
        pairs = tf.gather(digits, drawn[..., 0])
        canvases = paste(pairs, drawn[..., 1:], canvas_size)
        return {"images": tf.cast(tf.minimum(canvases, 255), tf.uint8)}

    return make_batches(
        draw_examples(draw, num_images or num_digits, seed, fixed),
        batch_size,
        binarize=binarize,
        num_values=num_values,
        intensities=intensities,
        seed=seed,
        drop_remainder=drop_remainder,
        pick=operator.itemgetter("images"),
    )
