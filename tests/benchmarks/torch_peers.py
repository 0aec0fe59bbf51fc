"""The LSTM layers over pixels as eager PyTorch loops.

The functions take the same tensors as those of `scan_peers`, and have two versions. The
tuned version gets the steps from `unbind`, whose gradient is one `stack`. It adds the
state-to-state product in the call that computes it, and computes three sigmoids in one
call. The straightforward version uses `gates[step]` (whose gradient is a whole map of
zeros per step), a product, a sum, and a call per gate.
"""

import torch
from torch.nn import functional


def lstm(gates, neighbors, kernel, cell, tuned):
    """Return the new hidden and cell state."""
    units = cell.shape[-1]
    if tuned:
        gates = torch.baddbmm(gates, neighbors, kernel)
        o, f, i = torch.sigmoid(gates[..., : 3 * units]).chunk(3, dim=-1)
        cell = torch.addcmul(f * cell, i, torch.tanh(gates[..., 3 * units :]))
        return o * torch.tanh(cell), cell
    o, f, i, g = (gates + neighbors @ kernel).chunk(4, dim=-1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def steps_of(gates, tuned):
    return gates.unbind() if tuned else (gates[t] for t in range(len(gates)))


def input_to_state(inputs, weights):
    """Return (batch, height, width, directions * 4 * units), in one product."""
    kernel = weights["input_kernel"]
    taps, channels, _ = kernel.shape
    width = inputs.shape[2]
    padded = functional.pad(inputs, (0, 0, taps - 1, 0))
    shifted = [padded[:, :, tap : tap + width] for tap in range(taps)]
    neighbors = torch.cat(shifted, dim=-1) if taps > 1 else inputs
    kernel = kernel.reshape(taps * channels, -1)
    return functional.linear(neighbors, kernel.T, weights["bias"])


def diagonal(inputs, weights, tuned):
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
        new_hidden, new_cell = lstm(gates_now, neighbors, kernel, cell, tuned)
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


def row(inputs, weights, tuned):
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
        hidden, cell = lstm(gates_now, neighbors, kernel, cell, tuned)
        outputs.append(hidden)
    hidden = torch.stack(outputs).reshape(height, batch, width, units)
    return hidden.permute(1, 0, 2, 3)


LAYERS = {"diagonal": diagonal, "row": row}


def gradient_step(layer, arrays, projection, threads, tuned):
    """Return a function that computes the layer's map and the gradients.

    Args:
        layer: `"diagonal"` or `"row"`.
        arrays: Dict of NumPy arrays, `inputs` and the weights.
        projection: NumPy array to multiply the map by.
        threads: Number of threads.
        tuned: Whether to use the tuned version.
    """
    tensors = {
        name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()
    }
    weights = {name: t for name, t in tensors.items() if name != "inputs"}
    projection = torch.tensor(projection)

    def step():
        torch.set_num_threads(threads)
        outputs = LAYERS[layer](tensors["inputs"], weights, tuned)
        loss = (outputs * projection).sum()
        gradients = torch.autograd.grad(loss, list(tensors.values()))
        return outputs, dict(zip(tensors, gradients, strict=True))

    return step
