"""Time of a training step of each family, beside peers and a bound.

    python -m tests.benchmarks.steps --family PixelCNN GatedPixelCNN

Each program has a process of its own, and they take turns:

- a step of `fit` on a batch of random binary images, in float32 and in bfloat16;
- for convolutional families, the same network, loss and optimizer in plain TensorFlow
  and in eager PyTorch. They must give the same loss for the same weights. With "1x1 as
  products", products take the place of 1x1 convolutions; with "kernels cut", the masked
  rows of kernels are left out;
- the products of the layers alone, forward and for both gradients, at the shapes of
  whole maps. They are a bound. Recurrent layers cannot multiply whole maps at once.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from tests.benchmarks import step_peers
from tests.benchmarks.timing import OURS, Benchmark, Program, installed

IMAGE_SHAPE = (28, 28, 1)
BFLOAT16, BOUND = "keras_genimg, bfloat16", "products alone"
PEERS = step_peers.TENSORFLOW | step_peers.TORCH
NOTE = "Ratios of the time to that of keras_genimg; peak memory of the process."


def families():
    """Return class, batch size of a step, and arguments by size, of each family."""
    from keras_genimg.models import (
        DRAW,
        VAE,
        GatedPixelCNN,
        MultiScalePixelRNN,
        PixelCNN,
        PixelRNN,
    )

    blocks = {"7 blocks of 32": (32, 7), "15 blocks of 16": (16, 15)}
    gated = {"7 layers of 32": (32, 7), "12 layers of 16": (16, 12)}
    tiny = {"tiny": (4, 1)}
    lstms = {"7 layers of 16": (16, 7), "1 layer of 32": (32, 1)}
    rows = {size: (*arguments, "row") for size, arguments in lstms.items()}
    scales = {f"2 layers of {units}": ((7, 14, 28), units, 2) for units in (8, 16)}
    glimpses = {f"{count} glimpses": (count, 256, 100, 2, 5) for count in (8, 32)}
    latents = {f"{count} latents": (count,) for count in (20, 64)}
    return {
        "PixelCNN": (PixelCNN, 64, blocks | tiny),
        "GatedPixelCNN": (GatedPixelCNN, 64, gated | tiny),
        "PixelRNN, diagonal": (PixelRNN, 16, lstms),
        "PixelRNN, row": (PixelRNN, 16, rows),
        "MultiScalePixelRNN": (MultiScalePixelRNN, 16, scales),
        "DRAW": (DRAW, 64, glimpses),
        "VAE": (VAE, 128, latents),
    }


def our_step(model, images, optimizer="adam"):
    """Return a function that takes a step of `fit` and returns the loss."""
    import tensorflow as tf

    model.check_causality = False
    model.compile(optimizer)
    model.train_on_batch(images)
    model.reset_metrics()
    batches = iter(tf.data.Dataset.from_tensors(images).repeat())

    def step():
        return float(np.mean(model.train_function(batches)["loss"]))

    return step


def products_step(model, batch_size):
    """Return a function that computes the products of a model's layers alone."""
    import tensorflow as tf

    positions = batch_size
    if hasattr(model, "num_glimpses"):
        positions *= model.num_glimpses
    elif not hasattr(model, "encoder"):
        positions *= int(np.prod(IMAGE_SHAPE[:2]))
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


def our_program(name, family, size, weights):
    """Return a step of one of our programs; the first also writes what peers need."""
    import keras

    make, batch_size, sizes = families()[family]
    if name == BFLOAT16:
        keras.config.set_dtype_policy("mixed_bfloat16")
    keras.utils.set_random_seed(0)
    model = make(IMAGE_SHAPE, *sizes[size])
    if name == BOUND:
        return products_step(model, batch_size)
    shape = (batch_size, *IMAGE_SHAPE)
    images = (np.random.default_rng(0).random(shape) < 0.3).astype("float32")
    if name == OURS:
        values = {w.path: np.asarray(w) for w in model.trainable_weights}
        np.savez(weights, images=images, **values)
    return our_step(model, images)


class Side:
    """A process that takes steps when asked to."""

    def __init__(self, name, family, size, weights):
        command = [sys.executable, "-m", "tests.benchmarks.step_peers"]
        self.process = subprocess.Popen(
            [*command, name, family, size, weights],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
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


def sides_of(family):
    """Return the names of the programs of a family."""
    names = [OURS, BFLOAT16, BOUND]
    if family in step_peers.NETWORKS:
        names += step_peers.TENSORFLOW
        names += step_peers.TORCH if installed("torch") else ()
    return names


def compare(benchmark, family, size):
    """Time all programs of a family at a size, and return the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        weights = pathlib.Path(folder) / "weights.npz"
        sides = {}
        try:
            for name in sides_of(family):
                sides[name] = Side(name, family, size, weights)
                sides[name].step()  # Ours writes the weights before it answers.
            programs = {name: Program(side.step) for name, side in sides.items()}
            timings, _ = benchmark.time(programs)
        finally:
            for side in sides.values():
                side.close()
    # Ours has taken one step before the first that it answers.
    ours = sides[OURS].losses[0]
    for name, side in sides.items():
        if name in PEERS:
            found = side.losses[1]
            if not abs(found - ours) < 1e-3 * abs(ours):
                raise AssertionError(f"{name}: a loss of {found}, not {ours}")
    base = timings[OURS].median
    return [
        {
            "program": name,
            "size": size,
            "ms": 1000 * timings[name].median,
            "ratio": timings[name].median / base,
            "MiB": int(side.peak),
        }
        for name, side in sides.items()
    ]


def main():
    """Parse the command line, and print a table."""
    benchmark = Benchmark(__doc__)
    add = benchmark.parser.add_argument
    names = list(families())
    add("--family", nargs="+", choices=names, default=names)
    options = benchmark.start()
    for family in options.family:
        _, _, sizes = families()[family]
        tiny = "tiny" if "tiny" in sizes else list(sizes)[-1]
        rows = []
        for size in [tiny] if options.quick else sizes:
            if size != "tiny" or options.quick:
                rows += compare(benchmark, family, size)
        benchmark.table(f"Training steps, {family}", rows, NOTE)


if __name__ == "__main__":
    main()
