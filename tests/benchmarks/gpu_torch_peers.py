"""A layer, a training step and sampling of a PixelRNN in PyTorch, for a GPU.

`LSTMS` are three ways to compute a Diagonal BiLSTM layer of a map. The last one, the
library's own LSTM over the rows of a map, computes less: a pixel sees its row only.
"""

import numpy as np
import torch
from torch.nn import functional

from tests.benchmarks import torch_peers

EAGER = "PyTorch, eager loop"
COMPILED = "PyTorch, torch.compile of the loop"
ROWS = "torch.nn.LSTM over rows"


def eager_diagonal(inputs, weights):
    return torch_peers.diagonal(inputs, weights, tuned=True)


# Compiled for a layer, and shared by all layers of a network.
compiled_diagonal = torch.compile(eager_diagonal, dynamic=False)
# Each size is compiled; past the limit, PyTorch would silently run the loop eagerly.
torch._dynamo.config.cache_size_limit = 64


def lstm_over_rows(inputs, weights):
    """Return the map of an LSTM over each row, in both directions, of random weights.

    Args:
        inputs: `(batch, height, width, channels)`.
        weights: Dict with the module as `"rows"`.
    """
    batch, height, width, channels = inputs.shape
    rows, _ = weights["rows"](inputs.reshape(batch * height, width, channels))
    left, right = rows.chunk(2, dim=-1)
    return (left + right).reshape(batch, height, width, -1)


LSTMS = {EAGER: eager_diagonal, COMPILED: compiled_diagonal, ROWS: lstm_over_rows}


def use_device(device):
    """Return PyTorch's name of a device, and compute in full float32 there."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return {"gpu": "cuda", "cpu": "cpu"}[device]


def synchronize(device):
    """Wait until all that was launched is done."""
    if device == "cuda":
        torch.cuda.synchronize()


def make_lstm(channels, units, device):
    torch.manual_seed(0)
    return torch.nn.LSTM(
        channels, units, batch_first=True, bidirectional=True, device=device
    )


def layer_step(name, inputs, weights, projection, device):
    """Return a function that computes a layer's map and its gradients.

    Args:
        name: A key of `LSTMS`.
        inputs: NumPy array, `(batch, height, width, channels)`.
        weights: Dict of NumPy arrays as `torch_peers` takes them.
        projection: NumPy array to multiply the map by.
        device: PyTorch's name of the device.
    """
    inputs = torch.tensor(inputs, device=device, requires_grad=True)
    projection = torch.tensor(projection, device=device)
    if name == ROWS:
        module = make_lstm(inputs.shape[-1], projection.shape[-1], device)
        weights, sources = {"rows": module}, dict(module.named_parameters())
    else:
        weights = sources = {
            key: torch.tensor(value, device=device, requires_grad=True)
            for key, value in weights.items()
        }
    sources = {"inputs": inputs, **sources}

    def step():
        outputs = LSTMS[name](inputs, weights)
        loss = (outputs * projection).sum()
        gradients = torch.autograd.grad(loss, list(sources.values()))
        return outputs, dict(zip(sources, gradients, strict=True))

    return step


class TorchPixelRNN(torch.nn.Module):
    """A PixelRNN of diagonal layers with the weights of a Keras model.

    Args:
        model: `keras_genimg.models.PixelRNN` of gray binary images, with residual
            blocks and skip connections.
        name: A key of `LSTMS`.
        device: PyTorch's name of the device.
    """

    def __init__(self, model, name, device):
        super().__init__()
        self.compute_lstm = LSTMS[name]
        first = model.get_layer("first_convolution")
        mask = torch.tensor(np.asarray(first.mask, "float32"), device=device)
        self.mask = mask.permute(3, 2, 0, 1)
        self.parts = torch.nn.ParameterDict()
        self.lstms = torch.nn.ModuleList()
        for weight in model.trainable_weights:
            key = weight.path.replace("/", "_")
            value = torch.tensor(weight.numpy(), device=device)
            if key.startswith("first_convolution_kernel"):
                value = value.permute(3, 2, 0, 1)
            elif "kernel" in key and "recurrent" not in key:
                value = value[0, 0]
            if name != ROWS or "_lstm_" not in key:
                self.parts[key] = value
        self.depth = sum(layer.name.startswith("layer_") for layer in model.layers)
        self.num_head_layers = sum(
            layer.name in ("head_0", "head_1") for layer in model.layers
        )
        if name == ROWS:
            channels = first.filters
            self.lstms.extend(
                make_lstm(channels, channels // 2, device) for _ in range(self.depth)
            )

    def forward(self, images):
        """Return logits of images, both `(batch, height, width, 1)`."""
        x = (2 * images - 1).permute(0, 3, 1, 2)
        kernel = self.parts["first_convolution_kernel"] * self.mask
        bias = self.parts["first_convolution_bias"]
        x = functional.conv2d(x, kernel, bias, padding=kernel.shape[-1] // 2)
        x = x.permute(0, 2, 3, 1)
        skipped = 0
        for index in range(self.depth):
            x = x + self.affine(f"layer_{index}_expand", self.lstm(index, x))
            skipped = skipped + self.affine(f"skip_{index}", x)
        x = skipped
        for index in range(self.num_head_layers):
            x = self.affine(f"head_{index}", functional.relu(x))
        return self.affine("logits", functional.relu(x))

    def affine(self, name, x):
        return x @ self.parts[f"{name}_kernel"] + self.parts[f"{name}_bias"]

    def lstm(self, index, x):
        if self.lstms:
            return self.compute_lstm(x, {"rows": self.lstms[index]})
        prefix = f"layer_{index}_lstm_"
        weights = {
            key.removeprefix(prefix): value
            for key, value in self.parts.items()
            if key.startswith(prefix)
        }
        weights["input_kernel"] = weights["input_kernel"][None]
        return self.compute_lstm(x, weights)


def training_step(model, name, images, learning_rate, device):
    """Return a function that takes a step of Adam and returns the loss before it.

    Args:
        model: See `TorchPixelRNN`.
        name: A key of `LSTMS`.
        images: NumPy array of zeros and ones, `(batch, height, width, 1)`.
        learning_rate: Learning rate of Adam.
        device: PyTorch's name of the device.
    """
    network = TorchPixelRNN(model, name, device)
    adam = torch.optim.Adam(network.parameters(), learning_rate, eps=1e-7)
    images = torch.tensor(images, dtype=torch.float32, device=device)

    def step():
        adam.zero_grad()
        losses = functional.binary_cross_entropy_with_logits(
            network(images), images, reduction="none"
        )
        loss = losses.sum() / len(images)
        loss.backward()
        adam.step()
        return loss.detach()

    return step


def pixel_sampler(model, name, uniforms, pixels, device):
    """Return a function that draws the first pixels with one forward pass each.

    Args:
        model: See `TorchPixelRNN`.
        name: A key of `LSTMS`.
        uniforms: NumPy array of uniform numbers, `(batch, height, width, 1)`.
        pixels: Number of pixels to draw.
        device: PyTorch's name of the device.
    """
    network = TorchPixelRNN(model, name, device)
    uniforms = torch.tensor(uniforms, device=device)
    width = uniforms.shape[2]

    @torch.no_grad()
    def draw():
        images = torch.zeros_like(uniforms)
        for pixel in range(pixels):
            row, column = divmod(pixel, width)
            edges = torch.sigmoid(-network(images)[:, row, column])
            images[:, row, column] = (uniforms[:, row, column] >= edges).float()
        return images

    return draw
