"""Resizing of displayable images."""

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
