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

import contextlib
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.models import (
    DRAW,
    VAE,
    GatedPixelCNN,
    MultiScalePixelRNN,
    PixelCNN,
    PixelRNN,
)
from tests.benchmarks import step_peers
from tests.benchmarks.timing import OURS, Benchmark, compared, installed

IMAGE_SHAPE = (28, 28, 1)
BFLOAT16, BOUND = "keras_genimg, bfloat16", "products alone"
NOTE = "Ratios of the time to that of keras_genimg; peak memory of the process."

_BLOCKS = {"7 blocks of 32": (32, 7), "15 blocks of 16": (16, 15), "tiny": (4, 1)}
_LAYERS = {"7 layers of 32": (32, 7), "12 layers of 16": (16, 12), "tiny": (4, 1)}
_LSTMS = {"7 layers of 16": (16, 7), "1 layer of 32": (32, 1), "tiny": (4, 1)}
_ROWS = {size: (*arguments, "row") for size, arguments in _LSTMS.items()}
_SCALES = {f"2 layers of {units}": ((7, 14, 28), units, 2) for units in (8, 16)}
_GLIMPSES = {f"{count} glimpses": (count, 256, 100, 2, 5) for count in (8, 32)}
_LATENTS = {f"{count} latents": (count,) for count in (20, 64)}
# Class, batch size of a step, and arguments by size; `--quick` takes the tiny ones.
FAMILIES = {
    "PixelCNN": (PixelCNN, 64, _BLOCKS),
    "GatedPixelCNN": (GatedPixelCNN, 64, _LAYERS),
    "PixelRNN, diagonal": (PixelRNN, 16, _LSTMS),
    "PixelRNN, row": (PixelRNN, 16, _ROWS),
    "MultiScalePixelRNN": (MultiScalePixelRNN, 16, _SCALES | {"tiny": ((7, 28), 4, 1)}),
    "DRAW": (DRAW, 64, _GLIMPSES | {"tiny": (2, 8, 4, 2, 2)}),
    "VAE": (VAE, 128, _LATENTS | {"tiny": (2,)}),
}


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
    """Return a function that computes the products of a model's layers alone.

    Each network of several scales has the maps of its own scale. Those of a transposed
    convolution are counted at their larger size.
    """
    masks = {
        id(layer.weights[0]): np.asarray(layer.mask)
        for layer in model._flatten_layers()
        if hasattr(layer, "mask") and layer.weights
    }
    sizes = []
    for part in getattr(model, "scale_models", [model]):
        positions = batch_size
        if hasattr(part, "num_glimpses"):
            positions *= part.num_glimpses
        elif not hasattr(part, "encoder"):
            positions *= math.prod(part.image_shape[:2])
        for weight in part.trainable_weights:
            if len(weight.shape) > 1 and "kernel" in weight.name:
                *taps, inputs, outputs = weight.shape
                mask = masks.get(id(weight), np.ones((*taps, 1, 1)))
                width = int(mask.any(axis=(-2, -1)).sum()) * inputs
                sizes.append((positions, width, outputs))
    maps = {size[:2]: tf.random.normal(size[:2]) for size in sizes}
    kernels = [tf.Variable(tf.random.normal(size[1:])) for size in sizes]

    @tf.function(autograph=False)
    def step():
        results = []
        for kernel, size in zip(kernels, sizes, strict=True):
            inputs = maps[size[:2]]
            # The outputs stand for their gradient. TensorFlow would compute products
            # of the same maps only once for all layers.
            outputs = tf.matmul(inputs, kernel)
            d_kernel = tf.matmul(inputs, outputs, transpose_a=True)
            d_inputs = tf.matmul(outputs, kernel, transpose_b=True)
            results += [d_kernel[0, 0], d_inputs[0, 0]]
        return tf.add_n(results)

    return lambda: float(step())


def our_program(name, family, size, weights):
    """Return a step of one of our programs; the first also writes what peers need."""
    make, batch_size, sizes = FAMILIES[family]
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


class Side(subprocess.Popen):
    """A process that takes steps when asked to, and ends with its context."""

    def __init__(self, *arguments):
        super().__init__(
            [sys.executable, "-m", "tests.benchmarks.step_peers", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        self.losses, self.peak = [], 0.0

    def step(self):
        """Take a step and wait for it."""
        print(file=self.stdin, flush=True)
        loss, self.peak = json.loads(self.stdout.readline())
        self.losses.append(loss)


def sides_of(family):
    names = [OURS, BFLOAT16, BOUND]
    if family in step_peers.NETWORKS:
        names += step_peers.TENSORFLOW
        names += step_peers.TORCH if installed("torch") else ()
    return names


def compare(benchmark, family, size):
    """Time all programs of a family at a size, and return the rows of the table."""
    sides = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as processes:
        weights = pathlib.Path(folder) / "weights.npz"
        for name in sides_of(family):
            side = Side(name, family, size, weights)
            sides[name] = processes.enter_context(side)
            side.step()  # Ours writes the weights before it answers.
        timings, _ = benchmark.time({name: side.step for name, side in sides.items()})
    # Ours has taken one step before the first that it answers.
    ours = sides[OURS].losses[0]
    for name in step_peers.PEERS.keys() & sides:
        found = sides[name].losses[1]
        if not abs(found - ours) < 1e-3 * abs(ours):
            raise AssertionError(f"{name}: a loss of {found}, not {ours}")
    rows = compared(timings, size)
    for row in rows:
        row["MiB"] = int(sides[row["program"]].peak)
    return rows


def main():
    benchmark = Benchmark(__doc__)
    benchmark.add_choice("--family", FAMILIES)
    options = benchmark.start()
    for family in options.family:
        rows = []
        for size in FAMILIES[family][2]:
            if (size == "tiny") == options.quick:
                rows += compare(benchmark, family, size)
        benchmark.table(f"Training steps, {family}", rows, NOTE)


if __name__ == "__main__":
    main()
