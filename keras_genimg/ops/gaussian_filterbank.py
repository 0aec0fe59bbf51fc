"""Gaussian filters that read a patch of an image and write one into it."""

import math

import numpy as np
import tensorflow as tf

# Largest distance of a filter's mean from the image, in pixels.
_FARTHEST = 1e12


def centered_filters(height, width, size):
    """Return the raw numbers of a grid with a filter in the center of each part.

    The longer side of the image has `size` equal parts. This is how attention begins. A
    grid as wide as the image would have its outer filters on the border, and for
    `size=2` no others. There is nothing to see, and training can stand still.

    Args:
        height: Height of the image, an integer.
        width: Width of the image, an integer.
        size: Filters along either axis, an integer.

    Returns:
        List of five numbers, see `attention_geometry`.
    """
    longer = max(height, width)
    if min(size, longer) == 1:
        return [0.0] * 5
    log_stride = math.log(longer / size * (size - 1) / (longer - 1))
    return [0.0, 0.0, 0.0, log_stride, 0.0]


def attention_geometry(raw, height, width, size, dtype="float32"):
    """Return position, stride, width and gain of `size` by `size` Gaussian filters.

    For raw numbers x, y, v, s and c, an image of width A and height B, and a grid with
    center g and stride d, in pixels counted from 0:

        g_x = (A + 1) / 2 * (x + 1) - 1
        g_y = (B + 1) / 2 * (y + 1) - 1
        d = (max(A, B) - 1) / (size - 1) * exp(s)
        sigma^2 = exp(v)
        gamma = exp(c)

    At x = y = s = 0 the grid is centered and as wide as the longer side of the image.

    Raw numbers of any magnitude give finite results and gradients. The magnitudes of x
    and y are clipped to 1e9. Those of v / 2, s and c are clipped to a third of the
    logarithm of the largest number, so that products of three such factors do not
    overflow. For s and v / 2 that is the largest float32, and the bound is 29.6. For c
    it is the largest number of `dtype`; float16 keeps gamma between 1/40 and 40. A
    number beyond its bound has no gradient.

    Args:
        raw: `(batch, 5)`, of any float dtype: x, y, v, s and c. In the paper's order,
            these give center x, center y, log variance, log stride and log gamma.
        height: Height of the image, an integer.
        width: Width of the image, an integer.
        size: Filters along either axis, an integer. The stride of a single filter has
            no effect.
        dtype: Floating-point type that gamma is used in.

    Returns:
        The attention, `(batch, 5)` in float32: center x and center y of the grid in
        pixels, where 0 is the middle of the first pixel; stride, the distance between
        neighboring filters in pixels; sigma, the filters' standard deviation in pixels;
        and gamma, which multiplies a glimpse and divides an update.

    References:
        Gregor et al., DRAW, 2015, equations 21 to 24, https://arxiv.org/abs/1502.04623
    """
    bound = _log_bound("float32")
    bounds = [1e9, 1e9, 2 * bound, bound, min(bound, _log_bound(dtype))]
    bounds = np.array(bounds, "float32")
    raw = tf.clip_by_value(tf.cast(raw, "float32"), -bounds, bounds)
    x, y, log_variance, log_stride, log_gamma = tf.split(raw, 5, axis=-1)
    widest_stride = (max(height, width) - 1) / max(size - 1, 1)
    attention = [
        (width + 1) / 2 * (x + 1) - 1,
        (height + 1) / 2 * (y + 1) - 1,
        widest_stride * tf.exp(log_stride),
        tf.exp(log_variance / 2),
        tf.exp(log_gamma),
    ]
    # Do not use `tf.stack`: TensorFlow 2.21's graph optimizer loses the new axis of
    # `tf.stack(...)[:, 4, None]`.
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
        The attention, `(batch, 5)` in float32, in the order of `attention_geometry`:
        the image's center, a stride of 1, a sigma of 0 and a gamma of 1.
    """
    attention = tf.constant([(width - 1) / 2, (height - 1) / 2, 1, 0, 1], "float32")
    return tf.broadcast_to(attention, (batch, 5))


def gaussian_filterbank(center, stride, sigma, size, length):
    """Return a row of Gaussian filters, each of which sums to 1 over the pixels.

        mean[i] = center + (i - (size - 1) / 2) * stride
        filters[i, a] = exp(-(a - mean[i])^2 / (2 * sigma^2)) / sum over pixels

    for filters i and pixels a counted from 0. Filters and gradients are finite for any
    position and width: a filter far outside the image, or with sigma 0, puts all its
    weight on the nearest pixel. Means more than 1e12 pixels away are clipped to that
    distance.

    Args:
        center: Middle of the row of filters in pixels, `(batch,)` in float32.
        stride: Distance between neighboring filters in pixels, `(batch,)` in float32.
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
    # Subtract the exponent of the nearest pixel, which cancels in the quotient, and
    # factor the difference of squares. The largest exponent is then exactly 0, and no
    # exponent is a difference of huge numbers.
    nearest = tf.stop_gradient(tf.clip_by_value(tf.round(mean), 0, length - 1))
    # For a smaller sigma, float32 exponents would only be 0 or infinite.
    precision = 1 / tf.square(tf.maximum(sigma, 1e-6))[:, None, None]
    exponents = (pixels - nearest) * (pixels + nearest - 2 * mean) * (-precision / 2)
    # Do not use `tf.nn.softmax`: on some CPUs it multiplies by an approximate
    # reciprocal, and the weight of a narrow filter is 0.99999994.
    weights = tf.exp(exponents)
    return weights / tf.reduce_sum(weights, axis=-1, keepdims=True)


def attention_filters(attention, height, width, size):
    """Return the row filters and column filters of an attention.

    Args:
        attention: `(batch, 5)` in float32, from `attention_geometry`.
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
        filters_x: `(batch, columns, width)`, also cast.

    Returns:
        `(batch, rows, columns, channels)`.
    """
    height, width, channels = images.shape[1:]
    rows, columns = filters_y.shape[1], filters_x.shape[1]
    filters_y = tf.cast(filters_y, images.dtype)
    filters_x = tf.cast(filters_x, images.dtype)
    # Reduce the rows first, which needs no transpose. Only the smaller result is
    # transposed, and with one channel not even that.
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
        filters_x: `(batch, columns, width)`, also cast.

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
