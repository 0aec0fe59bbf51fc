"""Masks of the kernel weights that a causal layer may use.

Pixels are in raster order, and colors within a pixel are ordered by their index. A
sub-pixel `(row, column, color)` may depend only on the sub-pixels before it
(van den Oord et al. 2016, section 3.4).
"""

from typing import Literal

import numpy as np

from keras_genimg.types import Shape


def color_groups(channels: int, num_colors: int) -> np.ndarray:
    """Return the color that each channel of a map belongs to.

    Channel `k` of `F` belongs to color `floor(k * num_colors / F)`. Groups are
    contiguous, and their sizes differ by at most one channel for any `F`.

    Args:
        channels: Number of channels `F`.
        num_colors: Number of colors.

    Returns:
        NumPy integers of shape `(channels,)`, non-decreasing, in `[0, num_colors)`.
    """
    return np.arange(channels) * num_colors // channels


def causal_kernel_mask(
    kernel_size: Shape,
    in_channels: int,
    out_channels: int,
    mask_type: Literal["A", "B"],
    num_colors: int,
    gates: int = 1,
) -> np.ndarray:
    """Return the kernel mask of a convolution that sees only earlier sub-pixels.

    The mask keeps the rows above the center, and the center row left of the center. At
    the center, mask `"A"` keeps connections from earlier to later colors. Mask `"B"`
    also keeps those within a color.

    Args:
        kernel_size: `(height, width)` of the kernel, both odd.
        in_channels: Channels of the input, split into colors by `color_groups`.
        out_channels: Channels of the output, per gate.
        mask_type: `"A"` or `"B"`.
        num_colors: Number of colors.
        gates: Number of maps of `out_channels` channels concatenated on the output
            axis (the gates of an LSTM). Each map is split into colors separately.

    Returns:
        NumPy float32 array of zeros and ones with shape
        `(height, width, in_channels, gates * out_channels)`.

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 3.4.
    """
    height, width = kernel_size
    center_row, center_column = height // 2, width // 2
    source = color_groups(in_channels, num_colors)[:, None]
    target = np.tile(color_groups(out_channels, num_colors), gates)[None, :]
    mask = np.zeros((height, width, in_channels, gates * out_channels), "float32")
    mask[:center_row] = 1
    mask[center_row, :center_column] = 1
    mask[center_row, center_column] = (
        source < target if mask_type == "A" else source <= target
    )
    return mask
