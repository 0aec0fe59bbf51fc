"""The layers' definitions in plain NumPy, one pixel at a time, in float64.

Nothing here is shared with the library: each function says, for pixel (row, column),
which neighbours are read, as the PixelRNN paper does (van den Oord et al. 2016).
Images are `(batch, height, width, channels)`.
"""

import numpy as np


def color_group(channel, channels, num_colors):
    """Return the colour that `channel` of a map of `channels` belongs to."""
    return int(np.floor(channel * num_colors / channels))


def center_tap_kept(source_group, target_group, mask_type):
    """Return whether a colour may read another one of the same pixel."""
    if mask_type == "A":
        return source_group < target_group
    return source_group <= target_group


def masked_kernel(kernel, mask_type, num_colors, maps=1):
    """Return a float64 copy of `kernel` without the weights that are not allowed.

    The output axis holds `maps` maps behind one another (the gates of an LSTM, of one
    or two directions), each split into colours by itself.
    """
    kernel = np.array(kernel, "float64")
    height, width, sources, targets = kernel.shape
    targets_per_map = targets // maps
    for u in range(height):
        for v in range(width):
            above = u < height // 2
            left = u == height // 2 and v < width // 2
            center = u == height // 2 and v == width // 2
            for source in range(sources):
                for target in range(targets):
                    source_group = color_group(source, sources, num_colors)
                    target_group = color_group(
                        target % targets_per_map, targets_per_map, num_colors
                    )
                    kept = (
                        above
                        or left
                        or center
                        and center_tap_kept(source_group, target_group, mask_type)
                    )
                    if not kept:
                        kernel[u, v, source, target] = 0.0
    return kernel


def convolve_pixel(image, kernel, row, column):
    """Return the sum over the window around one pixel, zero outside the image."""
    height, width, _ = image.shape
    total = np.zeros(kernel.shape[-1])
    for u in range(kernel.shape[0]):
        for v in range(kernel.shape[1]):
            r = row + u - kernel.shape[0] // 2
            c = column + v - kernel.shape[1] // 2
            if 0 <= r < height and 0 <= c < width:
                total += image[r, c] @ kernel[u, v]
    return total


def masked_conv2d(x, kernel, bias, mask_type, num_colors):
    """Convolve each pixel with its past (section 3.4)."""
    x = np.array(x, "float64")
    kernel = masked_kernel(kernel, mask_type, num_colors)
    bias = np.array(bias, "float64")
    batch, height, width, _ = x.shape
    outputs = np.zeros((batch, height, width, kernel.shape[-1]))
    for b in range(batch):
        for r in range(height):
            for j in range(width):
                outputs[b, r, j] = convolve_pixel(x[b], kernel, r, j) + bias
    return outputs


def logistic(x):
    """Return 1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-x))


def lstm_step(gates, cell):
    """Return the new hidden and cell state of one pixel (equation 3)."""
    units = len(cell)
    o = logistic(gates[:units])
    f = logistic(gates[units : 2 * units])
    i = logistic(gates[2 * units : 3 * units])
    g = np.tanh(gates[3 * units :])
    cell = f * cell + i * g
    return o * np.tanh(cell), cell


def row_lstm(
    x,
    input_kernel,
    recurrent_kernel,
    bias,
    initial_hidden,
    initial_cell,
    mask_type,
    num_colors,
    condition_term=None,
):
    """Scan the rows from the top (section 3.1).

    Pixel (r, j) reads the inputs left of it and its own, the hidden states around
    column j of row r - 1, and the cell state of (r - 1, j).
    """
    x = np.array(x, "float64")
    input_kernel = masked_kernel(input_kernel, mask_type, num_colors, maps=4)
    recurrent_kernel = np.array(recurrent_kernel, "float64")
    bias = np.array(bias, "float64")
    batch, height, width, _ = x.shape
    taps, units = recurrent_kernel.shape[1:3]
    if condition_term is None:
        condition_term = np.zeros((batch, height, width, 4 * units))
    outputs = np.zeros((batch, height, width, units))
    for b in range(batch):
        hidden_above = [np.array(initial_hidden[0], "float64") for _ in range(width)]
        cell_above = [np.array(initial_cell[0], "float64") for _ in range(width)]
        for r in range(height):
            hidden_here, cell_here = [], []
            for j in range(width):
                gates = convolve_pixel(x[b], input_kernel, r, j) + bias
                gates = gates + condition_term[b, r, j]
                for a in range(taps):
                    c = j + a - taps // 2
                    if 0 <= c < width:
                        gates = gates + hidden_above[c] @ recurrent_kernel[0, a]
                hidden, cell = lstm_step(gates, cell_above[j])
                hidden_here.append(hidden)
                cell_here.append(cell)
                outputs[b, r, j] = hidden
            hidden_above, cell_above = hidden_here, cell_here
    return outputs


def diagonal_bilstm(
    x,
    input_kernel,
    recurrent_kernel,
    bias,
    initial_hidden,
    initial_cell,
    mask_type,
    num_colors,
    condition_term=None,
):
    """Scan from both upper corners and add the two maps (section 3.2).

    Going right, pixel (r, j) reads its own input, the states of (r, j - 1) and the
    hidden state of (r - 1, j). Going left it reads (r, j + 1) in place of (r, j - 1),
    and that map is moved down by one row before it is added.
    """
    x = np.array(x, "float64")
    input_kernel = masked_kernel(input_kernel, mask_type, num_colors, maps=8)[0, 0]
    recurrent_kernel = np.array(recurrent_kernel, "float64")
    bias = np.array(bias, "float64")
    batch, height, width, _ = x.shape
    units = recurrent_kernel.shape[2]
    if condition_term is None:
        condition_term = np.zeros((batch, height, width, 8 * units))
    outputs = np.zeros((batch, height, width, units))
    for b in range(batch):
        for direction in (0, 1):
            own = slice(direction * 4 * units, (direction + 1) * 4 * units)
            columns = range(width) if direction == 0 else range(width - 1, -1, -1)
            up, side = recurrent_kernel[direction]
            states = np.zeros((height, width, units))
            for r in range(height):
                hidden = np.array(initial_hidden[direction], "float64")
                cell = np.array(initial_cell[direction], "float64")
                for j in columns:
                    gates = x[b, r, j] @ input_kernel[:, own] + bias[own]
                    gates = gates + condition_term[b, r, j, own]
                    gates = gates + hidden @ side
                    if r > 0:
                        gates = gates + states[r - 1, j] @ up
                    hidden, cell = lstm_step(gates, cell)
                    states[r, j] = hidden
            if direction == 0:
                outputs[b] += states
            else:
                outputs[b, 1:] += states[:-1]
    return outputs
