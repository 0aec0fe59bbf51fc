"""Images of two digits, DRAW's training data."""

import operator
from typing import Literal

import tensorflow as tf

from keras_genimg.datasets.batches import make_batches
from keras_genimg.datasets.canvases import (
    checked_canvas_size,
    draw_examples,
    read_split,
)
from keras_genimg.datasets.patches import free_places, paste, random_integers
from keras_genimg.datasets.pixels import pixel_options
from keras_genimg.likelihoods import Likelihood
from keras_genimg.ops.checks import check_int, check_positive_int
from keras_genimg.types import Config, Shape


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
    given = {name: str(value) for name, value in locals().items()}
    check_positive_int("batch_size", batch_size)
    if num_images is not None:
        check_positive_int("num_images", num_images)
    binarize, num_values, intensities = pixel_options(
        likelihood, binarize, num_values, intensities, fixed
    )
    check_int("seed", seed)
    if binarize == "fixed" and not fixed:
        raise ValueError(
            '`binarize="fixed"` needs `fixed=True`, since images are otherwise new in '
            f"each epoch. Received: binarize={binarize!r}, fixed={fixed!r}"
        )
    digits, _ = read_split(name, split, labels=False)
    num_digits, *digit_size, _ = digits.shape
    canvas_size = checked_canvas_size(canvas_size, digits, side=60)

    limits = (num_digits, *free_places(digit_size, canvas_size))

    def draw(positions, seed):
        # (canvases, 2, 3): digit, row and column.
        drawn = random_integers(seed, (positions.shape[0], 2), limits)
        pairs = tf.gather(digits, drawn[..., 0])
        canvases = paste(pairs, drawn[..., 1:], canvas_size)
        return {"images": tf.cast(tf.minimum(canvases, 255), tf.uint8)}

    return make_batches(
        draw_examples(draw, num_images or num_digits, seed, fixed),
        batch_size,
        num_examples=num_images or num_digits,
        binarize=binarize,
        num_values=num_values,
        intensities=intensities,
        seed=seed,
        drop_remainder=drop_remainder,
        pick=operator.itemgetter("images"),
        description=given,
    )
