"""The peers of the training steps, each in a process of its own; see `serve_peer`.

PyTorch and TensorFlow do not work in one process.
"""

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


def serve(step):
    """Take a step for each line of the input, and answer with a line of JSON."""
    for _ in sys.stdin:
        loss = step()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(json.dumps({"loss": loss, "MiB": peak}), flush=True)


def pixel_cnn(conv, relu, images, weights):
    """Return the logits of a `PixelCNN` with a skip connection from each block.

    Args:
        conv: Masked convolution of `(inputs, name, mask="B")`.
        relu: Function of a map.
        images: Black and white images.
        weights: Names of the weights.
    """
    x = conv(2 * images - 1, "first_convolution", mask="A")
    skipped = 0
    for index in range(sum("skip" in name for name in weights) // 2):
        y = conv(relu(x), f"layer_{index}/reduce")
        y = conv(relu(y), f"layer_{index}/convolution")
        x = x + conv(relu(y), f"layer_{index}/expand")
        skipped = skipped + conv(x, f"skip_{index}")
    for name in ("head_0", "head_1", "logits"):
        skipped = conv(relu(skipped), name)
    return skipped


def masked_rows(size, mask, cut):
    """Return the mask of the rows of a kernel to use, and the padding below a map.

    Args:
        size: Height and width of the kernel.
        mask: "A" or "B".
        cut: Whether to use only the rows that are not masked.
    """
    height, width = size
    above = height // 2
    taps = np.ones((height, width), "float32")
    taps[above + 1 :] = 0
    taps[above, width // 2 + (mask == "B") :] = 0
    return (taps[: above + 1], 0) if cut else (taps, above)


def tensorflow_step(weights, images, products=False, cut=False):
    """Return a function that takes a step of training and returns the loss."""
    import keras
    import tensorflow as tf

    variables = {name: tf.Variable(value) for name, value in weights.items()}
    optimizer = keras.optimizers.Adam()
    optimizer.build(list(variables.values()))
    images = tf.constant(images)

    def conv(x, name, mask="B"):
        kernel = variables[f"{name}/kernel"]
        shape = kernel.shape if len(kernel.shape) == 4 else (1, 1, *kernel.shape)
        kernel = tf.reshape(kernel, shape)
        if shape[:2] == (1, 1) and products:
            rows = tf.matmul(tf.reshape(x, (-1, shape[2])), kernel[0, 0])
            x = tf.reshape(rows, (*x.shape[:3], shape[3]))
        else:
            taps, below = masked_rows(shape[:2], mask, cut)
            above, beside = shape[0] // 2, shape[1] // 2
            if above or beside:
                x = tf.pad(x, [[0, 0], [above, below], [beside, beside], [0, 0]])
            kernel = kernel[: len(taps)] * taps[..., None, None]
            x = tf.nn.conv2d(x, kernel, 1, "VALID")
        return tf.nn.bias_add(x, variables[f"{name}/bias"])

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            logits = pixel_cnn(conv, tf.nn.relu, images, weights)
            nats = tf.nn.sigmoid_cross_entropy_with_logits(images, logits)
            loss = tf.reduce_sum(nats) / len(images)
        values = list(variables.values())
        optimizer.apply(tape.gradient(loss, values), values)
        return loss

    return lambda: float(step())


def torch_step(weights, images, channels_last=False, cut=False):
    """Return a function that takes a step of training and returns the loss."""
    import torch
    from torch.nn import functional

    form = torch.channels_last if channels_last else torch.contiguous_format
    variables = {}
    for name, value in weights.items():
        value = torch.tensor(value)
        if name.endswith("kernel"):
            value = value.reshape((1,) * (4 - value.ndim) + value.shape)
            value = value.permute(3, 2, 0, 1).contiguous(memory_format=form)
        variables[name] = value.requires_grad_()
    optimizer = torch.optim.Adam(variables.values(), lr=1e-3, eps=1e-7)
    images = torch.tensor(images).permute(0, 3, 1, 2).contiguous(memory_format=form)

    def conv(x, name, mask="B"):
        kernel, bias = variables[f"{name}/kernel"], variables[f"{name}/bias"]
        height, width = kernel.shape[2:]
        if (height, width) == (1, 1):
            return functional.conv2d(x, kernel, bias)
        taps, below = masked_rows((height, width), mask, cut)
        kernel = kernel[:, :, : len(taps)] * torch.tensor(taps)
        above, beside = height // 2, width // 2
        if below:
            return functional.conv2d(x, kernel, bias, padding=(above, beside))
        x = functional.pad(x, (beside, beside, above, 0))
        return functional.conv2d(x, kernel, bias)

    def step():
        optimizer.zero_grad()
        logits = pixel_cnn(conv, functional.relu, images, weights)
        loss = functional.binary_cross_entropy_with_logits(
            logits, images, reduction="sum"
        ) / len(images)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def serve_peer(name, path):
    """Serve the steps of a peer.

    Args:
        name: A key of `TENSORFLOW` or `TORCH`.
        path: File of weights and images.
    """
    weights = dict(np.load(path))
    images = weights.pop("images")
    if name in TORCH:
        serve(torch_step(weights, images, **TORCH[name]))
    else:
        serve(tensorflow_step(weights, images, **TENSORFLOW[name]))
