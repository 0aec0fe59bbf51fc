"""Where attention looks or writes."""

import numpy as np

from keras_genimg.visualization.checks import check_int


def attention_box(attention, size):
    """Return the boxes round grids of attention filters.

    A grid of `size` times `size` filters has its centres at `center + (i - (size - 1) /
    2) * stride` for `i` from 0 to `size - 1`. Its box goes round the pixels at the
    outermost centres, that is, half a pixel further: a box is never smaller than a
    pixel. It can reach beyond the image, or lie outside.

    Args:
        attention: Finite numbers `(..., 5)`: `center_x`, `center_y`, `stride`, `sigma`
            and `gamma`, in pixels, where whole numbers are the middles of pixels: 0 is
            that of the first column or row.
        size: Filters along each axis.

    Returns:
        Float64 array `(..., 4)`: left, top, right and bottom, in pixels, where whole
        numbers are the edges of pixels: an image goes from 0 to its width or height.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> attention_box([13.5, 13.5, 9.0, 1.0, 1.0], size=4)
        array([ 0.,  0., 28., 28.])

    References:
        Gregor et al., DRAW: A Recurrent Neural Network For Image Generation, 2015,
        section 3.2 and figure 3, https://arxiv.org/abs/1502.04623
    """
    attention = np.asarray(attention, "float64")
    check_int("size", size, 1)
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
    # From the middle of a pixel to its edges, whose numbers are 1/2 apart.
    return np.stack([x - reach, y - reach, x + reach + 1, y + reach + 1], axis=-1)
