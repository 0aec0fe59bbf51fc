"""The layers' definitions in plain NumPy, one pixel at a time, in float64.

Nothing here is shared with the library. As in the PixelRNN paper (van den Oord et al.
2016), each function lists the neighbors that pixel (row, column) reads. As in the DRAW
paper (Gregor et al. 2015), it lists the pixels that a filter weighs.
Images are `(batch, height, width, channels)`.
"""

import math
from fractions import Fraction

import numpy as np


def color_group(channel, channels, num_colors):
    """Return the color that `channel` of a map of `channels` belongs to."""
    return int(np.floor(channel * num_colors / channels))


def center_tap_kept(source_group, target_group, mask_type):
    """Return whether a color may read another one of the same pixel."""
    if mask_type == "A":
        return source_group < target_group
    return source_group <= target_group


def masked_kernel(kernel, mask_type, num_colors, maps=1):
    """Return a float64 copy of `kernel` with forbidden weights set to zero.

    The output axis is a concatenation of `maps` maps (the gates of an LSTM, for one or
    two directions). Each map is split into colors separately.
    """
    kernel = np.array(kernel, "float64")
    height, width, sources, targets = kernel.shape
    targets_per_map = targets // maps
    for u, v, source, target in np.ndindex(kernel.shape):
        above = u < height // 2
        left = u == height // 2 and v < width // 2
        center = u == height // 2 and v == width // 2
        source_group = color_group(source, sources, num_colors)
        target_group = color_group(
            target % targets_per_map, targets_per_map, num_colors
        )
        seen = center and center_tap_kept(source_group, target_group, mask_type)
        if not (above or left or seen):
            kernel[u, v, source, target] = 0.0
    return kernel


def masked_conv2d(x, kernel, bias, mask_type, num_colors, maps=1):
    """Convolve each pixel with its past (section 3.4)."""
    return convolve(x, masked_kernel(kernel, mask_type, num_colors, maps)) + bias


def convolve(x, kernel):
    """Sum over the window around each pixel of images, zero outside."""
    x = np.array(x, "float64")
    height, width = x.shape[1:3]
    outputs = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for row, column, u, v in np.ndindex(height, width, *kernel.shape[:2]):
        r = row + u - kernel.shape[0] // 2
        c = column + v - kernel.shape[1] // 2
        if 0 <= r < height and 0 <= c < width:
            outputs[:, row, column] += x[:, r, c] @ kernel[u, v]
    return outputs


def logistic(x):
    """Return 1 / (1 + exp(-x)), at least 1e-304."""
    return 1.0 / (1.0 + np.exp(-np.clip(x, -700, None)))


def lstm_step(gates, cell):
    """Return the new hidden and cell state of one pixel (equation 3)."""
    o, f, i, g = np.split(gates, 4, axis=-1)
    cell = logistic(f) * cell + logistic(i) * np.tanh(g)
    return logistic(o) * np.tanh(cell), cell


def pixel_lstm(images, layer, condition_term=0.0):
    """Compute a Row LSTM or a Diagonal BiLSTM, whose term is added to the gates."""
    weights = [layer.recurrent_kernel, layer.initial_hidden, layer.initial_cell]
    recurrent, hidden, cell = (np.array(each, "float64") for each in weights)
    masked = layer.mask_type, layer.num_colors
    kernel, bias = layer.input_kernel, np.array(layer.bias, "float64")
    gates = masked_conv2d(images, kernel, bias, *masked, maps=4 * len(cell))
    gates += condition_term
    height, width = images.shape[1:3]
    if len(cell) == 1:  # The Row LSTM reads states around it in the row above.
        reach = recurrent.shape[1] // 2
        kernels = {(-1, a - reach): each for a, each in enumerate(recurrent[0])}
        above = [(-1, j) for j in range(width)]
        return scan(gates, kernels, (-1, 0), above, hidden[0], cell[0])
    # The Diagonal BiLSTM reads the states above and beside it, going right, and going
    # left over the mirrored image. That map is moved down by one row before it is
    # added.
    beside = [(r, -1) for r in range(height)]
    right, left = np.split(gates, 2, axis=-1)
    maps = []
    for k, each in enumerate((right, left[:, :, ::-1])):
        kernels = {(-1, 0): recurrent[k, 0], (0, -1): recurrent[k, 1]}
        maps.append(scan(each, kernels, (0, -1), beside, hidden[k], cell[k]))
    right, left = maps
    right[:, 1:] += left[:, :-1, ::-1]
    return right


def scan(gates, kernels, before, border, initial_hidden, initial_cell):
    """Scan images from the top (sections 3.1 and 3.2).

    A pixel reads the hidden states of neighbors, each through a kernel, and the cell
    state of the neighbor `before`. The initial states are those of the `border`; other
    states outside are zero.
    """
    batch, height, width, _ = gates.shape
    outputs = np.zeros((batch, height, width, len(initial_cell)))
    hidden = dict.fromkeys(border, initial_hidden)
    cells = dict.fromkeys(border, initial_cell)
    for r, j in np.ndindex(height, width):
        summed = gates[:, r, j]
        for (down, side), kernel in kernels.items():
            state = hidden.get((r + down, j + side))
            summed = summed if state is None else summed + state @ kernel
        cell = cells[r + before[0], j + before[1]]
        hidden[r, j], cells[r, j] = lstm_step(summed, cell)
        outputs[:, r, j] = hidden[r, j]
    return outputs


def gaussian_filter(mean, variance, length):
    """Return one normalized filter over the pixels 1 to `length` (DRAW, equation 25).

    The exponents are exact fractions. The largest is subtracted before `exp`, which
    cancels in the quotient, so that a filter far outside the image is not 0 / 0.
    """
    mean, variance = Fraction(mean), Fraction(variance)
    exponents = [-((a - mean) ** 2) / (2 * variance) for a in range(1, length + 1)]
    values = [math.exp(exponent - max(exponents)) for exponent in exponents]
    return [value / sum(values) for value in values]


def attention(raw, height, width, size):
    """Return row filters, column filters and gamma of one image.

    Equations 19 to 26 of DRAW, which counts pixels and filters from 1.
    """
    x, y, log_variance, log_stride, log_gamma = (float(number) for number in raw)
    g_x = (width + 1) / 2 * (x + 1)
    g_y = (height + 1) / 2 * (y + 1)
    stride = 0.0
    if size > 1:
        stride = (max(height, width) - 1) / (size - 1) * math.exp(log_stride)
    rows, columns = [], []
    for i in range(1, size + 1):
        shift = (i - size / 2 - 0.5) * stride
        rows.append(gaussian_filter(g_y + shift, math.exp(log_variance), height))
        columns.append(gaussian_filter(g_x + shift, math.exp(log_variance), width))
    return rows, columns, math.exp(log_gamma)


def read_attention(images, raw, size):
    """Read one glimpse of each image (DRAW, equation 27)."""
    glimpses = []
    for image, numbers in zip(images.astype("float64"), raw, strict=True):
        rows, columns, gamma = attention(numbers, *image.shape[:2], size)
        glimpses.append(gamma * np.einsum("ir,jk,rkc->ijc", rows, columns, image))
    return np.stack(glimpses)


def write_attention(patches, raw, height, width):
    """Write one patch into each image (DRAW, equation 29)."""
    updates = []
    for patch, numbers in zip(patches.astype("float64"), raw, strict=True):
        rows, columns, gamma = attention(numbers, height, width, len(patch))
        updates.append(np.einsum("ir,jk,ijc->rkc", rows, columns, patch) / gamma)
    return np.stack(updates)


def draw(images, noise, weights, read_size, write_size, params_shape, mean):
    """Run DRAW on images, one at a time (equations 3 to 8).

    `mean` maps parameters to the mean image, scaled to 0 to 1 like the images.
    """
    height, width = images.shape[1:3]
    images = images.astype("float64")[:, None]
    noise = noise.astype("float64").swapaxes(0, 1)
    weights = {name: value.astype("float64") for name, value in weights.items()}

    def linear(name, x):
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    names = "canvas encoder_hidden encoder_cell decoder_hidden decoder_cell".split()
    canvases, posteriors = [], []
    for image, noise_of_steps in zip(images, noise, strict=True):
        canvas, h_enc, c_enc, h_dec, c_dec = (weights[f"initial_{n}"] for n in names)
        steps = []
        for step_noise in noise_of_steps:
            error = image - mean(canvas.reshape(1, *params_shape).astype("float32"))
            if read_size is None:
                patches = [image, error]
            else:
                raw = linear("read/attention", h_dec)[None]
                patches = [read_attention(x, raw, read_size) for x in (image, error)]
            glimpse = np.concatenate(patches, axis=-1).reshape(-1)
            gates = linear("encoder", np.concatenate([glimpse, h_dec, h_enc]))
            h_enc, c_enc = lstm_step(gates, c_enc)
            params = linear("posterior_params", h_enc)
            mu, log_sigma = np.split(params, 2)
            z = mu + np.exp(log_sigma) * step_noise
            gates = linear("decoder", np.concatenate([z, h_dec]))
            h_dec, c_dec = lstm_step(gates, c_dec)
            patch = linear("write/patch", h_dec)
            if write_size is None:
                update = patch
            else:
                raw = linear("write/attention", h_dec)[None]
                patch = patch.reshape(1, write_size, write_size, -1)
                update = write_attention(patch, raw, height, width)
            canvas = canvas + update.reshape(-1)
            steps.append(params)
        canvases.append(canvas)
        posteriors.append(steps)
    posteriors = np.array(posteriors).swapaxes(0, 1)
    return {"canvas": np.array(canvases), "posterior": posteriors}
