"""The peers of the training steps, each in a process of its own.

So each has its own threads, and its own peak of memory. A process is started with the
name of a program, a family, a size, and a file of weights and images; see `serve`.
"""

import collections
import json
import resource
import sys

import numpy as np

TENSORFLOW = {
    "plain TensorFlow": {},
    "plain TensorFlow, 1x1 as products, kernels cut": {"products": True, "cut": True},
}
TORCH = {
    "PyTorch": {},
    "PyTorch, channels last": {"channels_last": True},
    "PyTorch, channels last, kernels cut": {"channels_last": True, "cut": True},
}
PEERS = TENSORFLOW | TORCH


def serve(step):
    """Answer each line of the input with the loss of a step and the peak of MiB."""
    for _ in sys.stdin:
        loss = step()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(json.dumps([loss, peak]), flush=True)


# The operations of TensorFlow or PyTorch, and the networks of the peers over them.
Backend = collections.namedtuple("Backend", ["conv", "relu", "gate"])


def pixel_cnn(backend, images, weights):
    """Return the logits of a `PixelCNN` with a skip connection from each block."""
    conv, relu = backend.conv, backend.relu
    x = conv(2 * images - 1, "first_convolution", mask="A")
    skipped = 0
    for index in range(sum("skip" in name for name in weights) // 2):
        y = conv(relu(x), f"layer_{index}/reduce")
        y = conv(relu(y), f"layer_{index}/convolution")
        x = x + conv(relu(y), f"layer_{index}/expand")
        skipped = skipped + conv(x, f"skip_{index}")
    return head(backend, skipped)


def gated_pixel_cnn(backend, images, weights):
    """Return the logits of a `GatedPixelCNN`."""
    conv, gate = backend.conv, backend.gate
    above = x = 2 * images - 1
    for index in range(sum(name.endswith("link/kernel") for name in weights)):
        vertical, horizontal = f"vertical_{index}", f"horizontal_{index}"
        mask = "B" if index else "A"
        seen = gate(above) if index else above
        above = conv(seen, f"{vertical}/convolution", below=0 if index else -1)
        features = conv(x, f"{horizontal}/convolution", mask=mask)
        features = features + conv(above, f"{horizontal}/link")
        y = conv(gate(features), f"{horizontal}/combine")
        x = x + y if index else y
    return head(backend, x)


def head(backend, x):
    """Return the logits that a head of two layers makes of a map."""
    for name in ("head_0", "head_1", "logits"):
        x = backend.conv(backend.relu(x), name)
    return x


NETWORKS = {"PixelCNN": pixel_cnn, "GatedPixelCNN": gated_pixel_cnn}


def layout(shape, mask, below, cut):
    """Return a kernel's mask of one color, its rows to use, and the padding of a map.

    Args:
        shape: Shape of the kernel, height and width first.
        mask: "A", "B" or None for a kernel whose rows end at the pixel's row.
        below: Without a mask, the last row of the kernel relative to the pixel's.
        cut: Whether to use only the rows that are not masked.
    """
    height, width = shape[:2]
    above, beside = height // 2, width // 2
    if below is not None:
        return None, height, (height - 1 - below, below, beside, beside)
    taps = np.ones((height, width, 1, 1), "float32")
    taps[above + 1 :] = 0
    taps[above, beside + (mask == "B") :] = 0
    rows = above + 1 if cut else height
    return taps, rows, (above, rows - 1 - above, beside, beside)


def tensorflow_step(family, weights, images, products=False, cut=False):
    """Return a function that takes a step of training and returns the loss."""
    import keras
    import tensorflow as tf

    variables = {name: tf.Variable(value) for name, value in weights.items()}
    optimizer = keras.optimizers.Adam()
    optimizer.build(list(variables.values()))
    images = tf.constant(images)

    def gate(x):
        x, y = tf.split(x, 2, axis=-1)
        return tf.tanh(x) * tf.sigmoid(y)

    def conv(x, name, mask="B", below=None):
        kernel = variables[f"{name}/kernel"]
        shape = kernel.shape if len(kernel.shape) == 4 else (1, 1, *kernel.shape)
        kernel = tf.reshape(kernel, shape)
        if shape[:2] == (1, 1) and products:
            rows = tf.matmul(tf.reshape(x, (-1, shape[2])), kernel[0, 0])
            x = tf.reshape(rows, (*x.shape[:3], shape[3]))
        else:
            taps, height, pads = layout(shape, mask, below, cut)
            if taps is not None:
                kernel = kernel[:height] * taps[:height]
            top, bottom, left, right = pads
            if top or left:
                x = tf.pad(x, [[0, 0], [top, max(bottom, 0)], [left, right], [0, 0]])
            x = tf.nn.conv2d(x, kernel, 1, "VALID")
            x = x[:, : images.shape[1]]
        bias = variables.get(f"{name}/bias")
        return x if bias is None else tf.nn.bias_add(x, bias)

    backend = Backend(conv, tf.nn.relu, gate)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            logits = NETWORKS[family](backend, images, weights)
            nats = tf.nn.sigmoid_cross_entropy_with_logits(images, logits)
            loss = tf.reduce_sum(nats) / len(images)
        values = list(variables.values())
        optimizer.apply(tape.gradient(loss, values), values)
        return loss

    return lambda: float(step())


def torch_step(family, weights, images, channels_last=False, cut=False):
    """Return a function that takes a step of training and returns the loss."""
    import torch
    from torch.nn import functional

    from tests.benchmarks.torch_peers import adam_step

    form = torch.channels_last if channels_last else torch.contiguous_format
    variables = {}
    for name, value in weights.items():
        value = torch.tensor(value)
        if name.endswith("kernel"):
            value = value.reshape((1,) * (4 - value.ndim) + value.shape)
            value = value.permute(3, 2, 0, 1).contiguous(memory_format=form)
        variables[name] = value.requires_grad_()
    images = torch.tensor(images).permute(0, 3, 1, 2).contiguous(memory_format=form)
    height = images.shape[2]

    def gate(x):
        x, y = x.chunk(2, dim=1)
        return torch.tanh(x) * torch.sigmoid(y)

    def conv(x, name, mask="B", below=None):
        kernel = variables[f"{name}/kernel"]
        bias = variables.get(f"{name}/bias")
        size = tuple(kernel.shape[2:])
        if size == (1, 1):
            return functional.conv2d(x, kernel, bias)
        taps, rows, pads = layout(size, mask, below, cut)
        if taps is not None:
            kernel = kernel[:, :, :rows] * torch.tensor(taps[:rows, :, 0, 0])
        top, bottom, left, right = pads
        if top == bottom:
            return functional.conv2d(x, kernel, bias, padding=(top, left))
        x = functional.pad(x, (left, right, top, max(bottom, 0)))
        return functional.conv2d(x, kernel, bias)[:, :, :height]

    backend = Backend(conv, functional.relu, gate)

    def compute(images):
        return NETWORKS[family](backend, images, weights)

    step = adam_step(compute, variables.values(), images)
    return lambda: step().item()


def main():
    name, family, size, path = sys.argv[1:]
    if name in PEERS:
        weights = dict(np.load(path))
        images = weights.pop("images")
        make = torch_step if name in TORCH else tensorflow_step
        step = make(family, weights, images, **PEERS[name])
    else:
        # TensorFlow is not imported beside PyTorch.
        from tests.benchmarks.steps import our_program

        step = our_program(name, family, size, path)
    serve(step)


if __name__ == "__main__":
    main()
