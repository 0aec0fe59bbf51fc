"""Boxes around the pixels that attention reads or writes."""

import numpy as np
from numpy.typing import ArrayLike

from keras_genimg.ops.checks import check_positive_int


def attention_box(attention: ArrayLike, size: int) -> np.ndarray:
    """Return the boxes around grids of attention filters.

    The centers of `size` by `size` filters are `center + (i - (size - 1) / 2) * stride`
    for `i` from 0 to `size - 1`. The box encloses the pixels at the outermost centers,
    so it extends half a pixel further and is never smaller than a pixel. It can extend
    beyond the image or lie outside.

    Args:
        attention: Finite numbers of shape `(..., 5)`: `center_x`, `center_y`, `stride`,
            `sigma` and `gamma`, in pixels. Integers are centers of pixels: 0 is the
            center of the first column or row.
        size: Number of filters along each axis.

    Returns:
        Float64 array of shape `(..., 4)`: left, top, right and bottom, in pixels.
        Integers are edges of pixels: an image extends from 0 to its width or height.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> attention_box([13.5, 13.5, 9.0, 1.0, 1.0], size=4)
        array([ 0.,  0., 28., 28.])

    References:
        Gregor et al., DRAW: A Recurrent Neural Network For Image Generation, 2015,
        section 3.2 and figure 3, https://arxiv.org/abs/1502.04623
    """
    attention = np.asarray(attention, "float64")
    check_positive_int("size", size)
    if attention.ndim == 0 or attention.shape[-1] != 5:
        raise ValueError(
            "`attention` must end in 5 numbers: center_x, center_y, stride, sigma, "
            f"gamma. Received: shape={attention.shape}"
        )
    if not np.isfinite(attention).all():
        odd = attention[~np.isfinite(attention)]
        raise ValueError(f"`attention` must be finite. Received: {odd[0]}")
    x, y, stride = attention[..., 0], attention[..., 1], attention[..., 2]
    reach = (size - 1) / 2 * np.abs(stride)
    # From the center of a pixel to its edges: half a pixel, and edges count from 0.
    return np.stack([x - reach, y - reach, x + reach + 1, y + reach + 1], axis=-1)
