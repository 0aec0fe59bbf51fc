"""One LSTM layer over pixels, forward and backward, against other implementations.

    python -m tests.benchmarks.scans

Times the output of one DiagonalBiLSTM or RowLSTM layer on 28x28 maps of `2 * units`
channels, and the gradients of a random projection of it with respect to the map and
all weights. All programs compute this from the same weights, and are checked to agree.
"""

import functools

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.layers import DiagonalBiLSTM, RowLSTM
from keras_genimg.models import PixelRNN
from tests.benchmarks import scan_peers, timing
from tests.benchmarks.timing import NOTE, OURS, XLA

SIZES = [(16, 16), (16, 64), (32, 16)]
TOLERANCE = 1e-4

TORCH = "PyTorch, eager loop"
TORCH_PLAIN = "PyTorch, eager loop, not tuned"

LAYERS = {"diagonal": DiagonalBiLSTM, "row": RowLSTM}


def random_case(kind, units, batch, size):
    """Return a layer with random weights, inputs and a projection of its outputs."""
    random = np.random.default_rng(0)
    layer = LAYERS[kind](units)
    layer.build((None, size, size, 2 * units))
    for weight in layer.weights:
        # Kernels keep the scale of the map; biases and states are not zero.
        fan_in = units if "recurrent" in weight.name else 2 * units
        scale = 0.5 * fan_in**-0.5 if "kernel" in weight.name else 0.5
        weight.assign(random.normal(0, scale, weight.shape))
    inputs = random.normal(size=(batch, size, size, 2 * units)).astype("float32")
    projection = random.normal(size=(batch, size, size, units)).astype("float32")
    return layer, inputs, projection


def tensorflow_step(compute, inputs, weights, projection, jit_compile=False):
    """Return a `timing.gradient_step` with respect to inputs and weights.

    A peer is a function of inputs and weights, and a layer one of the inputs.
    """
    inputs = tf.Variable(inputs)
    if not isinstance(compute, keras.Layer):
        compute = functools.partial(compute, weights=weights)
    return timing.gradient_step(
        lambda: compute(tf.convert_to_tensor(inputs)),
        {"inputs": inputs, **weights},
        projection,
        jit_compile,
    )


def our_steps(layer, inputs, projection):
    """Return the steps of a layer of ours, by name."""
    weights = {weight.name: weight.value for weight in layer.weights}
    return {
        name: tensorflow_step(layer, inputs, weights, projection, name != OURS)
        for name in (OURS, OURS + XLA)
    }


def layer_rows(benchmark, kind, units, batch, size):
    layer, inputs, projection = random_case(kind, units, batch, size)
    weights = {weight.name: weight.value for weight in layer.weights}
    steps = our_steps(layer, inputs, projection)
    for name, peer in scan_peers.LAYERS[kind].items():
        steps[name] = tensorflow_step(peer, inputs, weights, projection)
    if timing.installed("torch"):
        from tests.benchmarks import torch_peers

        arrays = {name: weight.numpy() for name, weight in weights.items()}
        for name in (TORCH, TORCH_PLAIN):
            peer = functools.partial(torch_peers.LAYERS[kind], tuned=name == TORCH)
            step = torch_peers.layer_step(peer, inputs, arrays, projection)
            steps |= torch_peers.on_threads(name, step)
    timings, results = benchmark.time(steps)
    timing.check_agreement(results, TOLERANCE)
    return timing.compared(timings, f"h={units}, batch {batch}")


def first_call_rows(units, layers, size, batch):
    """Time the first forward and backward pass of a whole model, with tracing."""
    rows = []
    images = tf.constant(timing.binary_images(batch, size))
    for name in (OURS, OURS + XLA):
        model = PixelRNN((size, size, 1), units, layers)

        def loss(model=model):
            log_prob = model.likelihood.log_prob(model(images), images)
            return -tf.reduce_sum(log_prob) / batch

        weights = {weight.path: weight.value for weight in model.trainable_weights}
        step = timing.gradient_step(loss, weights, jit_compile=name != OURS)
        seconds, _ = timing.timed(step)
        text = f"{layers} layers, h={units}, {size}x{size}, batch {batch}"
        rows.append({"program": name, "size": text, "ms": 1000 * seconds})
        keras.backend.clear_session()
    return rows


def main():
    benchmark = timing.Benchmark(__doc__)
    quick = benchmark.start().quick
    size, sizes = (6, [(3, 2)]) if quick else (28, SIZES)
    for kind in LAYERS:
        rows = []
        for units, batch in sizes:
            rows += layer_rows(benchmark, kind, units, batch, size)
            keras.backend.clear_session()
        title = f"One {LAYERS[kind].__name__}, forward and backward, {size}x{size}"
        benchmark.table(title, rows, NOTE)
    rows = first_call_rows(*((3, 1, 6, 2) if quick else (16, 7, 28, 16)))
    title = "First call of a diagonal PixelRNN, forward and backward"
    benchmark.table(title, rows)


if __name__ == "__main__":
    main()
