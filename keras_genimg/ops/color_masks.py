"""Which weights of a kernel a causal layer may use.

Pixels are ordered in raster order and colours within a pixel by their index, so that
sub-pixel `(row, column, color)` may depend on what lies before it alone
(van den Oord et al. 2016, section 3.4).
"""

import numpy as np

from keras_genimg.ops.checks import check_choice


def color_groups(channels, num_colors):
    """Return the colour that each channel of a map belongs to.

    Channel `k` of `F` belongs to colour `floor(k * num_colors / F)`: contiguous groups
    that differ by at most one channel, for any width.

    Args:
        channels: Number of channels `F`.
        num_colors: Number of colours.

    Returns:
        NumPy integers of shape `(channels,)`, non-decreasing, in `[0, num_colors)`.
    """
    return np.arange(channels) * num_colors // channels


def causal_kernel_mask(
    kernel_size, in_channels, out_channels, mask_type, num_colors, gates=1
):
    """Return the mask of a convolution that sees the past of each sub-pixel alone.

    Rows above the centre are kept, and the centre row left of the centre. At the
    centre, mask `"A"` keeps connections from earlier colours to later ones, and mask
    `"B"` those within a colour too.

    Args:
        kernel_size: `(height, width)` of the kernel, both odd.
        in_channels: Channels of the input, split into colours by `color_groups`.
        out_channels: Channels of the output, of each gate.
        mask_type: `"A"` or `"B"`.
        num_colors: Number of colours.
        gates: How many maps of `out_channels` lie behind one another on the output
            axis, each with its own split into colours (the gates of an LSTM).

    Returns:
        NumPy float32 array of zeros and ones with shape
        `(height, width, in_channels, gates * out_channels)`.

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 3.4.
    """
    check_choice("mask_type", mask_type, ("A", "B"), "a causal layer")
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
