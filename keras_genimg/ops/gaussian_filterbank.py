"""Gaussian filters that read a patch of an image and write one into it."""

import math

import numpy as np
import tensorflow as tf

# No filter's mean lies further from the image, in pixels.
_FARTHEST = 1e12


def attention_geometry(raw, height, width, size, dtype="float32"):
    """Return where and how a square of `size` by `size` Gaussian filters looks.

    With g the grid's centre, d its stride, A the width and B the height, in pixels
    counted from 0, for raw numbers x, y, v, s, c:

        g_x = (A + 1) / 2 * (x + 1) - 1
        g_y = (B + 1) / 2 * (y + 1) - 1
        d = (max(A, B) - 1) / (size - 1) * exp(s)
        sigma^2 = exp(v)
        gamma = exp(c)

    At x = y = s = 0 the grid is centered and as wide as the longer side of the image.

    Raw numbers of any size give finite numbers and gradients: x and y are clipped to
    1e9 in size, and v / 2, s and c to a third of the logarithm of the largest number,
    so that products of three such factors do not overflow. For s and v / 2 that is the
    largest float32, and the bound is 29.6. For c it is the largest number of `dtype`,
    so float16 keeps gamma between 1/40 and 40. Beyond its bound a number has no
    gradient.

    Args:
        raw: `(batch, 5)`, of any float dtype: x, y, v, s and c, that is, in the paper's
            order, centre x, centre y, log variance, log stride and log gamma.
        height: Height of the image, an integer.
        width: Width of the image, an integer.
        size: Filters along either axis, an integer. A single one has no neighbors,
            and its stride no effect.
        dtype: Floating-point type that gamma is used in.

    Returns:
        The attention, `(batch, 5)` in float32: centre x and centre y, the pixel that
        the middle of the grid lies on, 0 being the middle of the first one; stride,
        the pixels from one filter to the next; sigma, the filters' standard deviation
        in pixels; and gamma, which a glimpse is multiplied with and an update divided
        by.

    References:
        Gregor et al., DRAW, 2015, equations 21 to 24, https://arxiv.org/abs/1502.04623
    """
    x, y, log_variance, log_stride, log_gamma = tf.split(
        tf.cast(raw, "float32"), 5, axis=-1
    )
    x, y = tf.clip_by_value(x, -1e9, 1e9), tf.clip_by_value(y, -1e9, 1e9)
    bound = _log_bound("float32")
    log_variance = tf.clip_by_value(log_variance, -2 * bound, 2 * bound)
    log_stride = tf.clip_by_value(log_stride, -bound, bound)
    gamma_bound = min(bound, _log_bound(dtype))
    log_gamma = tf.clip_by_value(log_gamma, -gamma_bound, gamma_bound)
    widest_stride = (max(height, width) - 1) / max(size - 1, 1)
    attention = [
        (width + 1) / 2 * (x + 1) - 1,
        (height + 1) / 2 * (y + 1) - 1,
        widest_stride * tf.exp(log_stride),
        tf.exp(log_variance / 2),
        tf.exp(log_gamma),
    ]
    # Not stacked: of `tf.stack(...)[:, 4, None]`, TensorFlow 2.21's graph optimizer
    # loses the new axis.
    return tf.concat(attention, axis=-1)


def _log_bound(dtype):
    return math.log(float(tf.as_dtype(dtype).max)) / 3


def whole_image_attention(batch, height, width):
    """Return the attention whose `height` by `width` filters copy the image.

    Args:
        batch: Number of images, an integer or a scalar tensor.
        height: Height of the images, an integer.
        width: Width of the images, an integer.

    Returns:
        `(batch, 5)` in float32, as of `attention_geometry`: the image's centre, a
        stride of 1, a sigma of 0 and a gamma of 1.
    """
    attention = tf.constant([(width - 1) / 2, (height - 1) / 2, 1, 0, 1], "float32")
    return tf.broadcast_to(attention, (batch, 5))


def gaussian_filterbank(center, stride, sigma, size, length):
    """Return Gaussian filters in a row, each of sum 1 over the pixels.

        mean[i] = center + (i - (size - 1) / 2) * stride
        filters[i, a] = exp(-(a - mean[i])^2 / (2 * sigma^2)) / sum over pixels

    for filters i and pixels a counted from 0. Filters and gradients are finite wherever
    a filter lies and however narrow it is: a filter far outside the image is all on
    the nearest pixel, and so is a filter of sigma 0. Means further than 1e12 pixels
    away are moved to that distance.

    Args:
        center: Middle of the row of filters in pixels, `(batch,)` in float32.
        stride: Pixels from one filter to the next, `(batch,)` in float32.
        sigma: Standard deviation in pixels, at least 0, `(batch,)` in float32.
        size: Number of filters, an integer.
        length: Number of pixels, an integer.

    Returns:
        `(batch, size, length)` in float32.

    References:
        Gregor et al., DRAW, 2015, equations 19, 20, 25 and 26,
        https://arxiv.org/abs/1502.04623
    """
    steps = tf.constant(np.arange(size) - (size - 1) / 2, "float32")
    mean = (center[:, None] + steps * stride[:, None])[:, :, None]
    mean = tf.clip_by_value(mean, -_FARTHEST, _FARTHEST)
    pixels = tf.range(length, dtype="float32")
    # The exponent of the nearest pixel is subtracted, which cancels in the quotient,
    # and the difference of two squares factored. So the largest exponent is exactly 0,
    # and none is a difference of huge numbers.
    nearest = tf.stop_gradient(tf.clip_by_value(tf.round(mean), 0, length - 1))
    # Of narrower filters float32 cannot tell the exponents from 0 and infinity.
    precision = 1 / tf.square(tf.maximum(sigma, 1e-6))[:, None, None]
    exponents = (pixels - nearest) * (pixels + nearest - 2 * mean) * (-precision / 2)
    return tf.nn.softmax(exponents)


def attention_gamma(attention):
    """Return the gamma of an attention, `(batch, 1, 1, 1)` in float32."""
    # TensorFlow 2.21's graph optimizer takes a slice of a stack for the tensor that was
    # stacked, and drops new axes of the slice; so not `attention[:, 4, None, ...]`.
    return tf.reshape(attention[:, 4], (-1, 1, 1, 1))


def attention_filters(attention, height, width, size):
    """Return the filters of rows and those of columns that an attention means.

    Args:
        attention: `(batch, 5)`, as of `attention_geometry`.
        height: Height of the image, an integer.
        width: Width of the image, an integer.
        size: Filters along either axis, an integer.

    Returns:
        `(batch, size, height)` and `(batch, size, width)`, in float32.
    """
    center_x, center_y, stride, sigma, _ = tf.unstack(attention, num=5, axis=-1)
    filters_y = gaussian_filterbank(center_y, stride, sigma, size, height)
    filters_x = gaussian_filterbank(center_x, stride, sigma, size, width)
    return filters_y, filters_x


def read_patch(images, filters_y, filters_x):
    """Return `filters_y @ image @ transpose(filters_x)` for each channel.

    Args:
        images: `(batch, height, width, channels)`.
        filters_y: `(batch, rows, height)`, cast to the dtype of `images`.
        filters_x: `(batch, columns, width)`, likewise.

    Returns:
        `(batch, rows, columns, channels)`.
    """
    height, width, channels = images.shape[1:]
    rows, columns = filters_y.shape[1], filters_x.shape[1]
    filters_y = tf.cast(filters_y, images.dtype)
    filters_x = tf.cast(filters_x, images.dtype)
    # Rows first, with nothing moved: only what is left of the image is transposed, and
    # not even that where there is one channel.
    x = tf.matmul(filters_y, tf.reshape(images, (-1, height, width * channels)))
    x = tf.transpose(tf.reshape(x, (-1, rows, width, channels)), (0, 1, 3, 2))
    x = tf.reshape(x, (-1, rows * channels, width))
    x = tf.matmul(x, filters_x, transpose_b=True)
    return tf.transpose(tf.reshape(x, (-1, rows, channels, columns)), (0, 1, 3, 2))


def write_patch(patch, filters_y, filters_x):
    """Return `transpose(filters_y) @ patch @ filters_x` for each channel.

    Args:
        patch: `(batch, rows, columns, channels)`.
        filters_y: `(batch, rows, height)`, cast to the dtype of `patch`.
        filters_x: `(batch, columns, width)`, likewise.

    Returns:
        `(batch, height, width, channels)`.
    """
    rows, columns, channels = patch.shape[1:]
    height, width = filters_y.shape[2], filters_x.shape[2]
    filters_y = tf.cast(filters_y, patch.dtype)
    filters_x = tf.cast(filters_x, patch.dtype)
    x = tf.reshape(tf.transpose(patch, (0, 1, 3, 2)), (-1, rows * channels, columns))
    x = tf.matmul(x, filters_x)
    x = tf.transpose(tf.reshape(x, (-1, rows, channels, width)), (0, 1, 3, 2))
    x = tf.reshape(x, (-1, rows, width * channels))
    x = tf.matmul(filters_y, x, transpose_a=True)
    return tf.reshape(x, (-1, height, width, channels))
