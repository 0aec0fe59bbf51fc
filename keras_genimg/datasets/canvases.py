"""Canvases composed of the images of a split."""

import tensorflow as tf

from keras_genimg.datasets.arrays import as_array
from keras_genimg.datasets.checks import checked_size
from keras_genimg.datasets.epochs import CANVASES, stream
from keras_genimg.datasets.loading import load

# Canvases per pair of seeds. Changing it changes the data sets with `fixed=True`.
BLOCK_SIZE = 128


def read_split(name, split, labels):
    """Return all images of a split, and optionally their labels.

    Args:
        name: Name of the data set, see `load`.
        split: Name of the split, see `load`.
        labels: Whether to read labels.

    Returns:
        Images, `uint8` of shape `(images, height, width, colors)`, and labels, `int32`
        of shape `(images,)`, or `None`.

    Raises:
        ValueError: If the name or the split is unknown.

    Example:
        >>> read_split("digits", "test", labels=False)[0].shape
        TensorShape([300, 8, 8, 1])
    """
    arrays = as_array(load(name, split, batch_size=1024, labels=labels))
    # Canvases are drawn on the CPU, whatever device the model runs on.
    with tf.device("CPU:0"):
        if not labels:
            return tf.constant(arrays), None
        return tf.constant(arrays["images"]), tf.constant(arrays["label"])


def in_proportion(images, side) -> tuple[int, int]:
    """Scale a size chosen for MNIST in proportion to the size of other digits.

    Args:
        images: Digits of shape `(images, height, width, colors)`.
        side: Size for digits of 28 by 28 pixels.

    Returns:
        `(height, width)`, each at least 1.

    Example:
        >>> in_proportion(tf.zeros((1, 8, 8, 1)), 60)
        (17, 17)
    """
    height, width = (max(1, round(size * side / 28)) for size in images.shape[1:3])
    return height, width


def checked_canvas_size(canvas_size, images, side):
    """Validate the size of canvases, or return the default size.

    Args:
        canvas_size: `(height, width)`, one integer for both, or `None`.
        images: Digits of shape `(images, height, width, colors)`.
        side: Default size for digits of 28 by 28 pixels.

    Returns:
        `(height, width)`.

    Raises:
        ValueError: If `canvas_size` is not valid, or smaller than `images`.

    Example:
        >>> checked_canvas_size(20, tf.zeros((1, 8, 8, 1)), 60)
        (20, 20)
    """
    size = checked_size("canvas_size", canvas_size) or in_proportion(images, side)
    height, width = images.shape[1:3]
    if size[0] < height or size[1] < width:
        raise ValueError(
            f"`canvas_size` must be at least the digits' size ({height}, {width}). "
            f"Received: canvas_size={canvas_size!r}"
        )
    return size


def draw_examples(draw, num_images, seed, fixed):
    """Return randomly drawn examples as a function of an epoch's key.

    Args:
        draw: Function of positions, `int64` of shape `(BLOCK_SIZE,)`, and a pair of
            seeds. It returns a dict of tensors with one example per position.
        num_images: Number of examples per epoch.
        seed: Integer seed of the draws, if `fixed`.
        fixed: Whether each epoch has the same examples, which depend on `seed` and
            position alone.

    Returns:
        A function of the key of an epoch, see `Epochs`, that returns an unbatched
        `tf.data.Dataset`.
    """
    num_blocks = -(-num_images // BLOCK_SIZE)

    def examples(key):
        def draw_block(block):
            positions = block * BLOCK_SIZE + tf.range(BLOCK_SIZE, dtype=tf.int64)
            if fixed:
                block_seed = tf.random.fold_in(tf.stack([seed, block]), 1, alg="philox")
            else:
                block_seed = stream(key, CANVASES, block)
            return draw(positions, block_seed)

        blocks = tf.data.Dataset.range(num_blocks)
        blocks = blocks.map(draw_block, num_parallel_calls=tf.data.AUTOTUNE)
        return blocks.unbatch().take(num_images)

    return examples
