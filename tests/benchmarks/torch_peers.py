"""DRAW, the LSTM layers over pixels and a PixelRNN as eager PyTorch loops.

The loops are written to be fast. They get their steps from `unbind`, whose gradient is
one `stack`, add a product and a sum in one call, and compute several sigmoids in one
call. `LAYERS` also has the Diagonal BiLSTM and the Row LSTM written straightforwardly:
with `gates[step]` (whose gradient is a whole map of zeros per step), a product, a sum,
and a call per gate.

Weights are dicts of tensors, named like the weights of the layers of this library. The
functions that take NumPy arrays put them on the device of `with torch.device(...):`.
"""

import functools
import os

import numpy as np
import torch
from torch.nn import functional


def leaves(arrays):
    """Return tensors of NumPy arrays, of which gradients can be computed."""
    return {k: torch.tensor(array, requires_grad=True) for k, array in arrays.items()}


def gradient_step(compute, sources, projection=None):
    """Return a function that returns `compute()` and its gradients.

    The arguments are those of `timing.gradient_step`, with tensors as sources.
    """
    if projection is not None:
        projection = torch.tensor(projection)

    def step():
        outputs = compute()
        gradients = torch.autograd.grad(outputs, list(sources.values()), projection)
        return outputs, dict(zip(sources, gradients, strict=True))

    return step


def adam_step(compute, parameters, images):
    """Return a function that takes a step of Adam and returns the loss before it.

    `compute` returns the logits of images, which are zeros and ones.
    """
    adam = torch.optim.Adam(parameters, 1e-3, eps=1e-7)  # Keras' defaults.

    def step():
        adam.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(
            compute(images), images, reduction="sum"
        )
        loss = loss / len(images)
        loss.backward()
        adam.step()
        return loss.detach()

    return step


def on_threads(name, step):
    """Return functions by name that take a step with one thread, and one per core."""

    def run(threads):
        torch.set_num_threads(threads)
        return step()

    return {
        f"{name}, threads: {threads}": functools.partial(run, threads)
        for threads in sorted({1, os.cpu_count()})
    }


def lstm(gates, cell):
    """Return the new hidden and cell state."""
    units = cell.shape[-1]
    o, f, i = torch.sigmoid(gates[..., : 3 * units]).chunk(3, dim=-1)
    cell = torch.addcmul(f * cell, i, torch.tanh(gates[..., 3 * units :]))
    return o * torch.tanh(cell), cell


# DRAW. One product computes everything derived from the decoder's state: the patch,
# where to write it, and where to read next. One softmax computes the filters of rows
# and columns.

LINEAR = ("read/attention", "write/attention", "write/patch")


def linear(inputs, weights, name):
    return torch.addmm(weights[f"{name}/bias"], inputs, weights[f"{name}/kernel"])


def filters(raw, steps, pixels):
    """Return column filters, row filters and gamma.

    Args:
        raw: `(batch, 5)`.
        steps: Distances of the filters from the middle of the grid at the largest
            stride, `(filters,)`.
        pixels: Pixel positions along one axis, `(pixels,)`; images are square.
    """
    log_variance, log_stride, log_gamma = raw[:, 2:].unsqueeze(-1).unbind(1)
    centers = (raw[:, :2] + 1) * ((len(pixels) + 1) / 2) - 1
    means = centers.unsqueeze(-1) + (steps * log_stride.exp()).unsqueeze(1)
    distances = pixels - means.unsqueeze(-1)
    scale = (-0.5 * torch.exp(-log_variance))[..., None, None]
    columns, rows = torch.softmax(scale * distances.square(), dim=-1).unbind(1)
    return columns, rows, log_gamma.exp()


def draw_loss(images, noise, weights, read_size, write_size):
    """Return the loss of DRAW, the mean over images of the bound in nats."""
    batch, side = images.shape[:2]
    images = images[..., 0]
    pixels = torch.arange(side, dtype=torch.float32)
    read_steps, write_steps = (
        (torch.arange(size) - (size - 1) / 2) * ((side - 1) / (size - 1))
        for size in (read_size, write_size)
    )
    kernel = torch.cat([weights[f"{name}/kernel"] for name in LINEAR], dim=1)
    bias = torch.cat([weights[f"{name}/bias"] for name in LINEAR])
    names = ["encoder_hidden", "encoder_cell", "decoder_hidden", "decoder_cell"]
    encoder_hidden, encoder_cell, hidden, cell = (
        weights[f"initial_{name}"].expand(batch, -1) for name in names
    )
    canvas = weights["initial_canvas"].reshape(side, side).expand(batch, -1, -1)
    read = torch.addmm(bias, hidden, kernel)[:, :5]
    posteriors = []
    for noise_now in noise.unbind():
        # Read. Image and error are concatenated, so that one product reads both.
        columns, rows, gamma = filters(read, read_steps, pixels)
        pair = torch.cat([images, images - torch.sigmoid(canvas)], dim=-1)
        glimpse = torch.bmm(rows, pair).reshape(batch, 2 * read_size, side)
        glimpse = torch.bmm(glimpse, columns.mT) * gamma.unsqueeze(-1)
        glimpse = glimpse.reshape(batch, read_size, 2, read_size).transpose(2, 3)
        # Encode and decode.
        inputs = [glimpse.reshape(batch, -1), hidden, encoder_hidden]
        gates = linear(torch.cat(inputs, dim=-1), weights, "encoder")
        encoder_hidden, encoder_cell = lstm(gates, encoder_cell)
        posteriors.append(linear(encoder_hidden, weights, "posterior_params"))
        mean, log_stddev = posteriors[-1].chunk(2, dim=-1)
        z = torch.addcmul(mean, log_stddev.exp(), noise_now)
        gates = linear(torch.cat([z, hidden], dim=-1), weights, "decoder")
        hidden, cell = lstm(gates, cell)
        # Write.
        read, write, patch = torch.addmm(bias, hidden, kernel).split(
            [5, 5, write_size**2], dim=-1
        )
        columns, rows, gamma = filters(write, write_steps, pixels)
        patch = (patch / gamma).reshape(batch, write_size, write_size)
        canvas = torch.baddbmm(canvas, rows.mT, torch.bmm(patch, columns))
    mean, log_stddev = torch.stack(posteriors).chunk(2, dim=-1)
    divergence = mean.square() + torch.exp(2 * log_stddev) - 2 * log_stddev - 1
    nats = functional.binary_cross_entropy_with_logits(canvas, images, reduction="sum")
    return (nats + 0.5 * divergence.sum()) / batch


def draw_step(images, noise, arrays, read_size, write_size):
    """Return a function that computes the loss and the gradients of all weights.

    The arguments are those of `draw_peers.unrolled_draw`, as NumPy arrays.
    """
    images, noise, weights = torch.tensor(images), torch.tensor(noise), leaves(arrays)
    sizes = read_size, write_size
    return gradient_step(lambda: draw_loss(images, noise, weights, *sizes), weights)


# The LSTM layers over pixels.


def pixel_lstm(gates, neighbors, kernel, cell, tuned):
    """Return the new hidden and cell state."""
    if tuned:
        return lstm(torch.baddbmm(gates, neighbors, kernel), cell)
    o, f, i, g = (gates + neighbors @ kernel).chunk(4, dim=-1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def steps_of(gates, tuned):
    return gates.unbind() if tuned else (gates[t] for t in range(len(gates)))


def input_to_state(inputs, weights):
    """Return (batch, height, width, directions * 4 * units), in one product."""
    taps = weights["input_kernel"].shape[1] // 2 + 1  # The others are masked.
    kernel = weights["input_kernel"][0, :taps]
    width = inputs.shape[2]
    padded = functional.pad(inputs, (0, 0, taps - 1, 0))
    shifted = [padded[:, :, tap : tap + width] for tap in range(taps)]
    neighbors = torch.cat(shifted, dim=-1) if taps > 1 else inputs
    return functional.linear(neighbors, kernel.flatten(0, 1).T, weights["bias"])


def diagonal(inputs, weights, tuned=True):
    batch, height, width, _ = inputs.shape
    gates = input_to_state(inputs, weights).reshape(batch, height, width, 2, -1)
    gates = torch.stack([gates[..., 0, :], gates[..., 1, :].flip(2)])
    gates = gates.permute(2, 3, 0, 1, 4)  # (height, width, 2, batch, 4 * units)
    # `height` zeros after each row; rows one shorter then each start one step later.
    num_steps = height + width - 1
    gates = functional.pad(gates, (0, 0, 0, 0, 0, 0, 0, height))
    gates = gates.reshape(height * (num_steps + 1), 2, batch, -1)[:-height]
    gates = gates.reshape(height, num_steps, 2, batch, -1).permute(1, 2, 0, 3, 4)
    gates = gates.reshape(num_steps, 2, height * batch, -1)
    units = gates.shape[-1] // 4
    kernel = weights["recurrent_kernel"].reshape(2, 2 * units, 4 * units)
    hidden = weights["initial_hidden"][:, None].expand(2, height * batch, units)
    cell = weights["initial_cell"][:, None].expand(2, height * batch, units)
    line = torch.arange(height, device=inputs.device)
    started = line <= line[:, None]
    started = started.repeat_interleave(batch, dim=1)[..., None]
    outputs = []
    for step, gates_now in enumerate(steps_of(gates, tuned)):
        above = functional.pad(hidden, (0, 0, batch, 0))[:, :-batch]
        neighbors = torch.cat([above, hidden], dim=-1)
        new_hidden, new_cell = pixel_lstm(gates_now, neighbors, kernel, cell, tuned)
        if step < height - 1:
            new_hidden = torch.where(started[step], new_hidden, hidden)
            new_cell = torch.where(started[step], new_cell, cell)
        hidden, cell = new_hidden, new_cell
        outputs.append(hidden)
    hidden = torch.stack(outputs).reshape(num_steps, 2, height, batch, units)
    hidden = hidden.permute(1, 2, 0, 3, 4)
    hidden = hidden.reshape(2, height * num_steps, batch, units)
    hidden = functional.pad(hidden, (0, 0, 0, 0, 0, height))
    hidden = hidden.reshape(2, height, num_steps + 1, batch, units)[:, :, :width]
    left, right = hidden[0], hidden[1].flip(1)
    right = functional.pad(right, (0, 0, 0, 0, 0, 0, 1, 0))[:-1]
    return (left + right).permute(2, 0, 1, 3)


def row(inputs, weights, tuned=True):
    batch, height, width, _ = inputs.shape
    gates = input_to_state(inputs, weights).permute(1, 0, 2, 3)
    gates = gates.reshape(height, 1, batch * width, -1)
    _, taps, units, _ = weights["recurrent_kernel"].shape
    kernel = weights["recurrent_kernel"].reshape(1, taps * units, 4 * units)
    hidden = weights["initial_hidden"].expand(1, batch * width, units)
    cell = weights["initial_cell"].expand(1, batch * width, units)
    outputs = []
    for gates_now in steps_of(gates, tuned):
        padded = functional.pad(
            hidden.reshape(batch, width, units), (0, 0, taps // 2, taps // 2)
        )
        neighbors = torch.cat(
            [padded[:, tap : tap + width] for tap in range(taps)], dim=-1
        ).reshape(1, batch * width, taps * units)
        hidden, cell = pixel_lstm(gates_now, neighbors, kernel, cell, tuned)
        outputs.append(hidden)
    hidden = torch.stack(outputs).reshape(height, batch, width, units)
    return hidden.permute(1, 0, 2, 3)


LAYERS = {"diagonal": diagonal, "row": row}


def layer_step(compute, inputs, weights, projection):
    """Return a function that computes a layer's map and its gradients.

    `compute` is a function such as `diagonal`; the others are NumPy arrays.
    """
    tensors = leaves({"inputs": inputs, **weights})
    return gradient_step(
        lambda: compute(tensors["inputs"], tensors), tensors, projection
    )


# A PixelRNN, whose layers are `diagonal` or the same compiled.


@functools.cache
def compiled():
    """Return `diagonal`, compiled for a layer and shared by all layers of a network.

    Made when it is called, since the compiler may bring another LLVM than TensorFlow's,
    which ends the process.
    """
    # For each size; past the limit, PyTorch would silently run the loop eagerly.
    torch._dynamo.config.cache_size_limit = 64
    return torch.compile(diagonal, dynamic=False)


COMPILED = "PyTorch, torch.compile of the loop"
LSTMS = {
    "PyTorch, eager loop": diagonal,
    COMPILED: lambda *given: compiled()(*given),
}


def pixel_rnn(lstm, model):
    """Return a PixelRNN with the weights of a Keras model.

    Args:
        lstm: A value of `LSTMS`.
        model: `keras_genimg.models.PixelRNN` of diagonal layers for gray binary images,
            with residual blocks and skip connections.

    Returns:
        Dict of the weights by path, and a function that returns the logits of images,
        both `(batch, height, width, 1)`.
    """
    weights = leaves({each.path: each.numpy() for each in model.trainable_weights})
    first = model.get_layer("first_convolution")
    mask = torch.tensor(np.asarray(first.mask, "float32"))
    depth = sum(layer.name.startswith("layer_") for layer in model.layers)

    def affine(name, x):
        kernel = weights[f"{name}/kernel"].flatten(0, -2)
        return x @ kernel + weights[f"{name}/bias"]

    def layer(index, x):
        prefix = f"layer_{index}/lstm/"
        names = [name for name in weights if name.startswith(prefix)]
        own = {name.removeprefix(prefix): weights[name] for name in names}
        return x + affine(f"layer_{index}/expand", lstm(x, own))

    def compute(images):
        kernel = (weights["first_convolution/kernel"] * mask).permute(3, 2, 0, 1)
        bias = weights["first_convolution/bias"]
        x = (2 * images - 1).permute(0, 3, 1, 2)
        x = functional.conv2d(x, kernel, bias, padding=kernel.shape[-1] // 2)
        x = x.permute(0, 2, 3, 1)
        skipped = 0
        for index in range(depth):
            x = layer(index, x)
            skipped = skipped + affine(f"skip_{index}", x)
        x = skipped
        for name in ("head_0", "head_1", "logits"):
            x = affine(name, functional.relu(x))
        return x

    return weights, compute


def training_step(lstm, model, images):
    """Return an `adam_step` of a `pixel_rnn` on an array of images."""
    weights, compute = pixel_rnn(lstm, model)
    images = torch.tensor(images, dtype=torch.float32)
    return adam_step(compute, weights.values(), images)


def pixel_sampler(lstm, model, uniforms, pixels):
    """Return a function that draws the first pixels with one forward pass each.

    The images of a `pixel_rnn` have the shape of `uniforms`, a NumPy array.
    """
    _, compute = pixel_rnn(lstm, model)
    uniforms = torch.tensor(uniforms)

    @torch.no_grad()
    def draw():
        images = torch.zeros_like(uniforms)
        for pixel in range(pixels):
            row, column = divmod(pixel, uniforms.shape[2])
            edges = torch.sigmoid(-compute(images)[:, row, column])
            images[:, row, column] = (uniforms[:, row, column] >= edges).float()
        return images

    return draw
