"""Orders of pixels that are raster order after flips and a transposition."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_genimg.types import TensorLike

NUM_ORDERS = 8
# Orders without a transposition, which images that are not square have too.
NUM_FLIPS = 4


def pixel_orders(size: Sequence[int], orders: Sequence[int]) -> np.ndarray:
    """Return the pixels of an image in the order in which each order samples them.

    The bits of an order say what is done to the image, in this sequence: 1 mirrors each
    row, 2 turns the rows upside down, 4 transposes. So order 0 is raster order, 1 goes
    through each row from the right, 2 begins with the lowest row, and 4 to 7 go column
    by column.

    Args:
        size: `(height, width)`, equal for orders from 4 on.
        orders: Numbers from 0 to 7.

    Returns:
        Flat indices of pixels, int32 of shape `(orders, height * width)`.
    """
    pixels = np.arange(size[0] * size[1], dtype="int32").reshape(size)
    found = []
    for order in orders:
        turned = pixels[:: -1 if order & 2 else 1, :: -1 if order & 1 else 1]
        found.append((turned.T if order & 4 else turned).reshape(-1))
    return np.stack(found)


def pixels_of(table: np.ndarray, index: TensorLike) -> tf.Tensor:
    """Return the pixels in the order that each image has, for `turned`.

    Args:
        table: Result of `pixel_orders`.
        index: Row of the table for each image, int32 `(batch,)`.

    Returns:
        Flat indices of pixels, int32 `(batch, height * width)`.
    """
    return tf.gather(table, index)


def places_of(table: np.ndarray, index: TensorLike) -> tf.Tensor:
    """Return the place of each pixel in that order, for `turned` to turn images back.

    Args:
        table: Result of `pixel_orders`.
        index: Row of the table for each image, int32 `(batch,)`.

    Returns:
        Flat indices of places, int32 `(batch, height * width)`.
    """
    return tf.gather(np.argsort(table, axis=1).astype("int32"), index)


def turned(maps: TensorLike, pixels: TensorLike) -> tf.Tensor:
    """Return maps with their pixels in other places.

    Args:
        maps: `(batch, height, width, ...)`, height and width known.
        pixels: Flat index of the pixel that comes to each place in raster order,
            integers of shape `(batch, height * width)`.

    Returns:
        A tensor of the shape of `maps`.
    """
    maps = tf.convert_to_tensor(maps)
    height, width, *others = maps.shape[1:]
    flat = tf.reshape(maps, (-1, height * width, *others))
    flat = tf.gather(flat, pixels, axis=1, batch_dims=1)
    return tf.reshape(flat, (-1, height, width, *others))


def fewest_later_known(known: TensorLike, table: np.ndarray) -> tf.Tensor:
    """Return the order in which the fewest known pixels follow an unknown one.

    Args:
        known: 1 or 0, `(batch, height, width, colors)`; the colors of a pixel are all
            known or all unknown.
        table: Result of `pixel_orders`.

    Returns:
        The first such row of the table for each image, int32 `(batch,)`.
    """
    num_orders, num_pixels = table.shape
    flat = tf.reshape(known[..., 0] > 0, (-1, num_pixels))
    in_orders = tf.gather(flat, table, axis=1)  # (batch, orders, pixels)
    begun = tf.cumsum(tf.cast(~in_orders, tf.int32), axis=2) > 0
    later = tf.reduce_sum(tf.cast(in_orders & begun, tf.int32), axis=2)
    # Make all numbers different, since TensorFlow does not say which of equal ones
    # `tf.argmin` returns.
    later = later * num_orders + tf.range(num_orders)
    return tf.argmin(later, axis=1, output_type=tf.int32)
