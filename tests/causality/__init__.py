"""Actual and expected influences of a layer's inputs on its outputs.

A field is a boolean array indexed `[row, column, color, row', column', color']`. It
tells whether the output of color `color'` at (row', column') should see the input of
color `color` at (row, column). Fields are built from the sets of sub-pixels
`(row, column, color)` that the layer's equations read. An influence array has channels
in place of colors.
"""

import numpy as np

from keras_genimg.causality.random_weights import randomize
from tests.reference import center_tap_kept, color_group


def random_images(*shape, seed=0):
    """Return float32 normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def randomized(layer, *shapes):
    """Build a layer for shapes without the batch, and return it with random weights."""
    layer.build(*((None, *shape) for shape in shapes))
    randomize(layer)
    return layer


def influence(function, images, step=2.0):
    """Perturb each number of each image in turn; return which outputs ever changed.

    The unperturbed image is repeated to the same batch size, so that compared outputs
    are computed by the same instructions. An output that does not see the perturbed
    number is then identical to the last bit. With several images, an influence is
    unlikely to be lost to rounding in all of them. `step` is added to each number, or
    each has a step of its own.
    """
    changed = False
    count = images[0].size
    for image in images:
        perturbed = image.reshape(1, count) + step * np.eye(count, dtype="float32")
        repeated = np.repeat(image[None], count, axis=0)
        before = np.asarray(function(repeated))
        after = np.asarray(function(perturbed.reshape(repeated.shape)))
        changed |= before != after
    return changed.reshape(*images[0].shape, *changed.shape[1:])


def by_channel(field, in_channels, out_channels):
    """Repeat the colors of a field for the channels of each color."""
    num_colors = field.shape[2]
    sources = [color_group(k, in_channels, num_colors) for k in range(in_channels)]
    targets = [color_group(k, out_channels, num_colors) for k in range(out_channels)]
    return field[:, :, sources][..., targets]


def assert_sees_exactly(function, images, field):
    """Check that each output sees exactly the inputs that it should see."""
    seen = influence(function, images)
    expected = by_channel(field, images.shape[-1], seen.shape[-1])
    assert seen.shape == expected.shape
    wrong = np.argwhere(seen != expected)
    assert len(wrong) == 0, f"{len(wrong)} leaks or missing, such as {wrong[0]}"


def own_pixel(row, column, color, num_colors, mask_type):
    """Return the sub-pixels of a pixel that one of its colors may read."""
    return {
        (row, column, source)
        for source in range(num_colors)
        if center_tap_kept(source, color, mask_type)
    }


def whole_pixels(pixels, num_colors):
    """Return all sub-pixels of `pixels`."""
    return {(*pixel, color) for pixel in pixels for color in range(num_colors)}


def to_field(height, width, num_colors, reads):
    """Return the field in which sub-pixel `key` sees the set `reads[key]`."""
    field = np.zeros(2 * (height, width, num_colors), bool)
    for target, sources in reads.items():
        for row, column, color in sources:
            if 0 <= row < height and 0 <= column < width:
                field[(row, column, color, *target)] = True
    return field


def past_field(height, width, num_colors):
    """Return the field of each sub-pixel itself and everything before it."""
    order = list(np.ndindex(height, width, num_colors))
    reads = {target: set(order[: i + 1]) for i, target in enumerate(order)}
    return to_field(height, width, num_colors, reads)


def convolution_field(height, width, num_colors, mask_type, kernel_size):
    """Return the part of the past that lies within a kernel."""
    up, side = kernel_size[0] // 2, kernel_size[1] // 2
    reads = {}
    for r, j, color in np.ndindex(height, width, num_colors):
        left = {(r, j - v) for v in range(1, side + 1)}
        above = {
            (r - u, j + v) for u in range(1, up + 1) for v in range(-side, side + 1)
        }
        reads[r, j, color] = whole_pixels(left | above, num_colors)
        reads[r, j, color] |= own_pixel(r, j, color, num_colors, mask_type)
    return to_field(height, width, num_colors, reads)


def row_lstm_field(height, width, num_colors, mask_type, kernel_size):
    """Return the triangular field of one Row LSTM.

    A state sees the inputs within half a kernel to the left, the inputs of its own
    pixel that the mask allows, and everything seen by the states within half a kernel
    in the row above.
    """
    side = kernel_size // 2
    reads = {}
    for r, j, color in np.ndindex(height, width, num_colors):
        left = {(r, j - v) for v in range(1, side + 1)}
        reads[r, j, color] = whole_pixels(left, num_colors)
        reads[r, j, color] |= own_pixel(r, j, color, num_colors, mask_type)
        for v in range(-side, side + 1):
            for source in range(num_colors):
                reads[r, j, color] |= reads.get((r - 1, j + v, source), set())
    return to_field(height, width, num_colors, reads)


def diagonal_bilstm_field(height, width, num_colors, mask_type):
    """Return the field of one Diagonal BiLSTM.

    In each direction, a state sees the inputs of its own pixel that the mask allows,
    and everything seen by the states beside it and above it. The output adds the
    right-to-left map of the row above.
    """
    reads = {}
    for side in (-1, 1):
        for r in range(height):
            for j in range(width)[::-side]:
                for color in range(num_colors):
                    seen = own_pixel(r, j, color, num_colors, mask_type)
                    for source in range(num_colors):
                        seen |= reads.get((side, r, j + side, source), set())
                        seen |= reads.get((side, r - 1, j, source), set())
                    reads[side, r, j, color] = seen
    both = {
        (r, j, color): reads[-1, r, j, color] | reads.get((1, r - 1, j, color), set())
        for r, j, color in np.ndindex(height, width, num_colors)
    }
    return to_field(height, width, num_colors, both)
