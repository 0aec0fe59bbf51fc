"""Resize images, cut patches out of them, and paste these on canvases."""

import tensorflow as tf


def resize(image, size):
    """Resize an image by antialiased bilinear interpolation.

    Args:
        image: `uint8` of shape `(height, width, colors)`.
        size: New `(height, width)`.

    Returns:
        `uint8` tensor of shape `(*size, colors)`.
    """
    resized = tf.image.resize(image, size, method="bilinear", antialias=True)
    return tf.saturate_cast(tf.round(resized), tf.uint8)


def random_integers(seed, shape, limits):
    """Return uniform random integers, such as indices of images and places of patches.

    Args:
        seed: Pair of integers.
        shape: Shape of the result without its last axis.
        limits: Exclusive upper limits of the integers along the last axis.

    Returns:
        An `int32` tensor of shape `(*shape, len(limits))`, from 0 to `limits - 1`.

    Example:
        >>> random_integers([0, 1], (2,), (1, 1)).numpy().tolist()
        [[0, 0], [0, 0]]
    """
    shape = tf.concat([shape, [len(limits)]], axis=0)
    # With 64 bits, the remainders are uniform to one part in 2 ** 32.
    draws = tf.random.stateless_uniform(shape, seed, None, None, tf.int64, alg="philox")
    return tf.cast(draws % tf.constant(limits, tf.int64), tf.int32)


def free_places(size, image_size, **received):
    """Return the numbers of rows and columns for the upper left corner of a patch.

    Args:
        size: `(height, width)` of the patch.
        image_size: `(height, width)` of the image that contains it.
        **received: The argument that one of the sizes comes from, for the error text.

    Raises:
        ValueError: If the patch is larger than the image.

    Example:
        >>> free_places((28, 28), (60, 28), canvas_size=(60, 28))
        (33, 1)
    """
    places = tuple(
        whole - part + 1 for part, whole in zip(size, image_size, strict=True)
    )
    if min(places) < 1:
        ((name, value),) = received.items()
        raise ValueError(
            f"`{name}` must let {tuple(size)} pixels fit into {tuple(image_size)}, "
            f"both (height, width). Received: {name}={value!r}"
        )
    return places


def cut(images, corners, size):
    """Return one patch of each image.

    Args:
        images: Tensor of shape `(batch, height, width, colors)`.
        corners: `int32` tensor of shape `(batch, 2)`: row and column of the upper left
            pixels.
        size: `(height, width)` of the patches.

    Returns:
        A tensor of the type of `images` and shape `(batch, *size, colors)`.

    Example:
        >>> cut(tf.reshape(tf.range(9), (1, 3, 3, 1)), [[1, 0]], (1, 2)).numpy().ravel()
        array([3, 4], dtype=int32)
    """
    owners = tf.range(tf.shape(images)[0])
    pixels = _flat_positions(owners, corners, size, images.shape[1:3])
    return tf.gather(tf.reshape(images, (-1, images.shape[-1])), pixels)


def paste(patches, corners, canvas_size):
    """Add patches to canvases of zeros.

    Args:
        patches: `uint8` tensor of shape `(batch, patches, height, width, colors)`.
        corners: `int32` tensor of shape `(batch, patches, 2)`: row and column of the
            upper left pixels.
        canvas_size: `(height, width)` of the canvases, which contain all patches.

    Returns:
        An `int32` tensor of shape `(batch, *canvas_size, colors)`, not clipped.

    Example:
        >>> patches = tf.constant([200, 100], "uint8", shape=(1, 2, 1, 1, 1))
        >>> paste(patches, [[[0, 1], [0, 1]]], (1, 3)).numpy().ravel()
        array([  0, 300,   0], dtype=int32)
    """
    batch, num, height, width, colors = patches.shape
    owners = tf.repeat(tf.range(batch), num)
    corners = tf.reshape(corners, (-1, 2))
    pixels = _flat_positions(owners, corners, (height, width), canvas_size)
    # Each pixel of a canvas is a segment. This is three times as fast as
    # `tf.scatter_nd`.
    sums = tf.math.unsorted_segment_sum(
        tf.reshape(tf.cast(patches, tf.int32), (-1, colors)),
        tf.reshape(pixels, (-1,)),
        batch * canvas_size[0] * canvas_size[1],
    )
    return tf.reshape(sums, (batch, *canvas_size, colors))


def _flat_positions(owners, corners, size, image_size):
    """Return indices of the patches' pixels among the pixels of all images."""
    height, width = image_size
    corners = tf.convert_to_tensor(corners)
    # (patches, patch height) and (patches, patch width)
    rows = owners[:, None] * height + corners[:, :1] + tf.range(size[0])
    columns = corners[:, 1:] + tf.range(size[1])
    return rows[:, :, None] * width + columns[:, None, :]
