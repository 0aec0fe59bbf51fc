"""DRAW as an eager PyTorch loop, written to be fast.

One product computes everything derived from the decoder's state: the patch, where to
write it, and where to read next. Sums are fused with products. One softmax computes the
filters of rows and columns, and one call the sigmoids of three gates.
"""

import torch
from torch.nn import functional

LINEAR = ("read/attention", "write/attention", "write/patch")


def lstm(inputs, cell, kernel, bias):
    """Return the new hidden and cell state; `inputs` includes the hidden state."""
    gates = torch.addmm(bias, inputs, kernel)
    units = cell.shape[-1]
    o, f, i = torch.sigmoid(gates[:, : 3 * units]).chunk(3, dim=-1)
    cell = torch.addcmul(f * cell, i, torch.tanh(gates[:, 3 * units :]))
    return o * torch.tanh(cell), cell


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
        encoder_hidden, encoder_cell = lstm(
            torch.cat([glimpse.reshape(batch, -1), hidden, encoder_hidden], dim=-1),
            encoder_cell,
            weights["encoder/kernel"],
            weights["encoder/bias"],
        )
        posteriors.append(
            torch.addmm(
                weights["posterior_params/bias"],
                encoder_hidden,
                weights["posterior_params/kernel"],
            )
        )
        mean, log_stddev = posteriors[-1].chunk(2, dim=-1)
        z = torch.addcmul(mean, log_stddev.exp(), noise_now)
        hidden, cell = lstm(
            torch.cat([z, hidden], dim=-1),
            cell,
            weights["decoder/kernel"],
            weights["decoder/bias"],
        )
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


def gradient_step(images, noise, arrays, read_size, write_size, threads):
    """Return a function that computes the loss and the gradients of all weights.

    Args:
        images: NumPy array, square and black and white, `(batch, side, side, 1)`.
        noise: NumPy array, `(glimpses, batch, latent_dim)`.
        arrays: Dict of NumPy arrays, the weights.
        read_size: Filters along either axis for reading.
        write_size: Filters along either axis for writing.
        threads: Number of threads.
    """
    images, noise = torch.tensor(images), torch.tensor(noise)
    weights = {
        name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()
    }

    def step():
        torch.set_num_threads(threads)
        loss = draw_loss(images, noise, weights, read_size, write_size)
        gradients = torch.autograd.grad(loss, list(weights.values()))
        return loss, dict(zip(weights, gradients, strict=True))

    return step
