"""Time of a training step of PixelCNN, with peers and a bound.

    python -m tests.benchmarks.steps

Each program has a process of its own, and they take turns:

- a step of `fit` on a batch of random binary images, in float32 and in bfloat16;
- the same network, loss and optimizer in plain TensorFlow and in eager PyTorch. They
  must give the same loss for the same weights. With "1x1 as products", products take
  the place of 1x1 convolutions; with "kernels cut", the masked rows of kernels are left
  out;
- the products of the layers alone, forward and for both gradients, at the shapes of
  whole maps. They are a bound.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.models import PixelCNN
from tests.benchmarks import step_peers
from tests.benchmarks.timing import OURS, Benchmark, Program, installed

IMAGE_SHAPE = (28, 28, 1)
BFLOAT16, BOUND = "keras_genimg, bfloat16", "products alone"
PEERS = {**step_peers.TENSORFLOW, **step_peers.TORCH}
NOTE = "Ratios of the time to that of keras_genimg; peak memory of the process."
# Units, depth and batch size by the text of the size.
SIZES = {"7 blocks of 32": (32, 7, 64), "15 blocks of 16": (16, 15, 64)}
TINY = {"tiny": (4, 1, 2)}


def our_step(model, images):
    """Return a function that takes a step of `fit` and returns the loss."""
    model.check_causality = False
    model.compile("adam")
    model.train_on_batch(images)
    model.reset_metrics()
    batches = iter(tf.data.Dataset.from_tensors(images).repeat())

    def step():
        return float(np.mean(model.train_function(batches)["loss"]))

    return step


def products_step(model, batch_size):
    """Return a function that computes the products of a model's layers alone."""
    positions = batch_size * int(np.prod(IMAGE_SHAPE[:2]))
    masks = {}
    for layer in model._flatten_layers():
        if hasattr(layer, "mask") and len(layer.weights):
            masks[id(layer.weights[0])] = np.asarray(layer.mask)
    sizes = []
    for weight in model.trainable_weights:
        shape = tuple(weight.shape)
        if len(shape) < 2 or "kernel" not in weight.name:
            continue
        mask = masks.get(id(weight))
        taps = int(np.prod(shape[:-2]))
        if mask is not None:
            taps = int(mask.any(axis=(2, 3)).sum())
        sizes.append((taps * shape[-2], shape[-1]))
    random = np.random.default_rng(0)

    def tensor(width):
        return tf.constant(random.normal(size=(positions, width)), tf.float32)

    maps = {width: tensor(width) for width, _ in sizes}
    kernels = [tf.Variable(random.normal(size=s).astype("float32")) for s in sizes]

    @tf.function(autograph=False)
    def step():
        results = []
        for kernel, (width, _) in zip(kernels, sizes, strict=True):
            # The outputs stand for their gradient. TensorFlow would compute products
            # of the same maps only once for all layers.
            outputs = tf.matmul(maps[width], kernel)
            d_kernel = tf.matmul(maps[width], outputs, transpose_a=True)
            d_inputs = tf.matmul(outputs, kernel, transpose_b=True)
            results += [d_kernel[0, 0], d_inputs[0, 0]]
        return tf.add_n(results)

    return lambda: float(step())


def serve_ours(name, path, units, depth, batch_size):
    """Serve the steps of one of our programs; the first also writes what peers need.

    Args:
        name: `OURS`, `BFLOAT16` or `BOUND`.
        path: File for weights and images.
        units: Units of the model.
        depth: Blocks of the model.
        batch_size: Images in a batch.
    """
    if name == BFLOAT16:
        keras.config.set_dtype_policy("mixed_bfloat16")
    keras.utils.set_random_seed(0)
    model = PixelCNN(IMAGE_SHAPE, units, depth)
    if name == BOUND:
        step_peers.serve(products_step(model, batch_size))
        return
    size = (batch_size, *IMAGE_SHAPE)
    images = (np.random.default_rng(0).random(size) < 0.3).astype("float32")
    if name == OURS:
        values = {w.path: np.asarray(w) for w in model.trainable_weights}
        np.savez(path, images=images, **values)
    step_peers.serve(our_step(model, images))


class Side:
    """A process that takes steps when asked to."""

    def __init__(self, name, path, size):
        call = f"steps.serve_ours{(name, path, *size)}"
        if name in PEERS:
            call = f"step_peers.serve_peer{(name, path)}"
        code = f"from tests.benchmarks import {call.partition('.')[0]}; {call}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.losses, self.peak = [], 0.0

    def step(self):
        """Take a step and wait for it."""
        print(file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        self.losses.append(answer["loss"])
        self.peak = answer["MiB"]

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def compare(benchmark, text, size):
    """Time all programs at a size, and return the rows of the table."""
    names = [OURS, BFLOAT16, BOUND, *step_peers.TENSORFLOW]
    names += step_peers.TORCH if installed("torch") else ()
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "weights.npz")
        sides = {}
        try:
            for name in names:
                sides[name] = Side(name, path, size)
                sides[name].step()  # Ours writes the weights before it answers.
            programs = {name: Program(side.step) for name, side in sides.items()}
            timings, _ = benchmark.time(programs)
        finally:
            for side in sides.values():
                side.close()
    # Ours has taken one step before the first that it answers.
    ours = sides[OURS].losses[0]
    for name in PEERS.keys() & sides.keys():
        found = sides[name].losses[1]
        if not abs(found - ours) < 1e-3 * abs(ours):
            raise AssertionError(f"{name}: a loss of {found}, not {ours}")
    base = timings[OURS].median
    return [
        {
            "program": name,
            "size": text,
            "ms": 1000 * timings[name].median,
            "ratio": timings[name].median / base,
            "MiB": int(side.peak),
        }
        for name, side in sides.items()
    ]


def main():
    """Parse the command line, and print a table."""
    benchmark = Benchmark(__doc__)
    sizes = TINY if benchmark.start().quick else SIZES
    rows = [row for size in sizes.items() for row in compare(benchmark, *size)]
    benchmark.table("Training steps", rows, NOTE)


if __name__ == "__main__":
    main()
