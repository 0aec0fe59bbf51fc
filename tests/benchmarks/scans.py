"""One LSTM layer over pixels, forward and backward, against other implementations.

    python -m tests.benchmarks.scans

Times the output of one DiagonalBiLSTM or RowLSTM layer on 28x28 maps of `2 * units`
channels, and the gradients of a random projection of it with respect to the map and
all weights. All programs compute this from the same weights, and are checked to agree.
"""

import functools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_genimg.layers import DiagonalBiLSTM, RowLSTM  # noqa: E402
from keras_genimg.models import PixelRNN  # noqa: E402
from tests.benchmarks import scan_peers  # noqa: E402
from tests.benchmarks.timing import (  # noqa: E402
    Program,
    Row,
    as_array,
    at_least,
    at_most,
    installed,
    parser,
    print_header,
    print_table,
    print_unsteady,
    time_programs,
    timed,
    write_json,
)

SIZES = [(16, 16), (16, 64), (32, 16)]
TOLERANCE = 1e-4

OURS = "keras_genimg"
RNN = "keras.layers.RNN loop"
LOOP = "tf.while_loop, automatic gradients"
TORCH = "PyTorch, eager loop"
TORCH_PLAIN = "PyTorch, eager loop, not tuned"
XLA = ", XLA"

LAYERS = {"diagonal": DiagonalBiLSTM, "row": RowLSTM}
PEERS = {
    ("diagonal", RNN): scan_peers.rnn_diagonal,
    ("diagonal", LOOP): scan_peers.plain_diagonal,
    ("row", RNN): scan_peers.rnn_row,
    ("row", LOOP): scan_peers.plain_row,
}
# Minimum speedup over the peer, without and with XLA.
TARGETS = {
    ("diagonal", RNN): (at_least(1.5), at_least(1.8)),
    ("diagonal", LOOP): (at_least(2.8), None),
    ("diagonal", TORCH): (at_least(2.8), at_least(4)),
    ("row", TORCH): (at_least(0.95), at_least(1.5)),
}


def random_layer(kind, units, batch, size):
    """Return a layer with random weights, its input and a projection."""
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


def peer_weights(layer):
    """Return the layer's weights as NumPy arrays, as `scan_peers` describes them."""
    weights = {weight.name: weight.numpy() for weight in layer.weights}
    live = layer.kernel_size // 2 + 1
    # With one color, the mask hides only the taps right of the center.
    weights["input_kernel"] = weights["input_kernel"][0, :live]
    return weights


def our_step(layer, inputs, projection, jit_compile):
    inputs, projection = tf.constant(inputs), tf.constant(projection)
    names = ["inputs", *(weight.name for weight in layer.trainable_weights)]
    live = layer.kernel_size // 2 + 1

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            loss = tf.reduce_sum(outputs * projection)
        sources = [inputs, *(weight.value for weight in layer.trainable_weights)]
        return outputs, tape.gradient(loss, sources)

    def run():
        outputs, gradients = step(inputs)
        gradients = dict(zip(names, gradients, strict=True))
        gradients["input_kernel"] = gradients["input_kernel"][0, :live]
        return outputs, gradients

    return run


def peer_step(peer, inputs, weights, projection, jit_compile):
    inputs, projection = tf.constant(inputs), tf.constant(projection)
    weights = {name: tf.Variable(array) for name, array in weights.items()}

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = peer(inputs, weights)
            loss = tf.reduce_sum(outputs * projection)
        return outputs, tape.gradient(loss, {"inputs": inputs, **weights})

    return lambda: step(inputs)


def check_agreement(results):
    """Fail unless all programs gave the same map and the same gradients.

    Returns:
        The largest difference, relative to the largest number of its tensor.
    """
    expected = labeled(results[OURS])
    worst = 0.0
    for name, result in results.items():
        for key, value in labeled(result).items():
            difference = abs(value - expected[key]).max()
            difference /= max(1, abs(expected[key]).max())
            if not difference < TOLERANCE:
                raise AssertionError(
                    f"{name} disagrees with {OURS} on {key}: they differ by "
                    f"{difference:.2g} of the largest number, more than {TOLERANCE}"
                )
            worst = max(worst, difference)
    return worst


def labeled(result):
    outputs, gradients = result
    gradients = {f"gradient of {key}": value for key, value in gradients.items()}
    named = {"outputs": outputs, **gradients}
    return {key: as_array(value) for key, value in named.items()}


def layer_programs(kind, layer, inputs, projection):
    """Return the programs that compute one layer from the same weights."""
    weights = peer_weights(layer)
    programs = {
        OURS: our_step(layer, inputs, projection, False),
        OURS + XLA: our_step(layer, inputs, projection, True),
    }
    for name in (RNN, RNN + XLA, LOOP):
        peer = PEERS[kind, name.removesuffix(XLA)]
        programs[name] = peer_step(peer, inputs, weights, projection, XLA in name)
    if installed("torch"):
        from tests.benchmarks import torch_peers

        arrays = {"inputs": inputs, **weights}
        for name in (TORCH, TORCH_PLAIN):
            for threads in sorted({1, os.cpu_count()}):
                programs[f"{name}, threads: {threads}"] = torch_peers.gradient_step(
                    kind, arrays, projection, threads, tuned=name == TORCH
                )
    return {name: Program(run) for name, run in programs.items()}


def faster_threads(timings):
    """Return timings, with the faster number of threads for each PyTorch program."""
    best = {}
    for name, timing in timings.items():
        program = name.split(", threads")[0]
        if program not in best or timing.median < timings[best[program]].median:
            best[program] = name
    return {name: timings[name] for name in best.values()}


def layer_rows(kind, units, batch, size, timing_options, with_targets):
    """Return the table's rows of one layer and size."""
    programs = layer_programs(kind, *random_layer(kind, units, batch, size))
    timings, results = time_programs(programs, **timing_options)
    worst = check_agreement(results)
    print_unsteady(timings)
    first_calls = ", ".join(f"{k} {t.first_call:.1f} s" for k, t in timings.items())
    print(
        f"{kind}, h={units}, batch {batch}: {len(programs)} programs agree to "
        f"{worst:.1g}; first calls: {first_calls}",
        flush=True,
    )
    ours, ours_xla = timings[OURS].median, timings[OURS + XLA].median
    rows = []
    for name, timing in faster_threads(timings).items():
        target, xla_target = None, None
        if with_targets:
            key = (kind, name.split(", threads")[0])
            target, xla_target = TARGETS.get(key, (None, None))
        rows.append(
            Row(
                name,
                f"h={units}, batch {batch}",
                timing.median,
                ratio=None if XLA in name else timing.median / ours,
                target=target,
                xla_ratio=None if name == OURS else timing.median / ours_xla,
                xla_target=xla_target,
                note="" if OURS in name else "Ratio of its time to ours.",
            )
        )
    return rows


def first_call_rows(units, layers, size, batch, with_targets):
    """Time the first forward and backward pass of a whole model, with tracing."""
    rows = []
    images = np.random.default_rng(0).integers(0, 2, (batch, size, size, 1))
    images = tf.constant(images, tf.float32)
    for jit_compile in (False, True):
        model = PixelRNN((size, size, 1), units, layers)

        @tf.function(jit_compile=jit_compile, autograph=False)
        def step(images, model=model):
            with tf.GradientTape() as tape:
                log_prob = model.likelihood.log_prob(model(images), images)
                loss = -tf.reduce_sum(log_prob) / batch
            sources = [weight.value for weight in model.trainable_weights]
            return loss, tape.gradient(loss, sources)

        first, _ = timed(functools.partial(step, images))
        row = Row(
            OURS + XLA if jit_compile else OURS,
            f"{layers} layers, h={units}, {size}x{size}, batch {batch}",
            first,
            note="Targets in seconds.",
        )
        if jit_compile:
            row.xla_ratio = first
            row.xla_target = at_most(60) if with_targets else None
        else:
            row.ratio = first
            row.target = at_most(20) if with_targets else None
        rows.append(row)
        keras.backend.clear_session()
    return rows


def main():
    arguments = parser(__doc__.splitlines()[0], rounds=7)
    arguments.add_argument(
        "--layer", nargs="+", choices=tuple(LAYERS), default=tuple(LAYERS)
    )
    arguments.add_argument("--skip-first-call", action="store_true")
    options = arguments.parse_args()
    quick = options.quick
    size, sizes = (6, [(3, 2)]) if quick else (28, SIZES)
    timing_options = {
        "rounds": options.rounds or (1 if quick else 7),
        "turn_seconds": 0 if quick else 0.2,
    }
    machine = print_header("Scans")
    if not installed("torch"):
        print("PyTorch is not installed, so it is left out.")
    tables = []
    for kind in options.layer:
        rows = []
        for units, batch in sizes:
            rows += layer_rows(kind, units, batch, size, timing_options, not quick)
            keras.backend.clear_session()
        title = f"One {LAYERS[kind].__name__}, forward and backward, {size}x{size}"
        tables.append((title, rows))
        print_table(*tables[-1])
    if not options.skip_first_call:
        model = (3, 1, 6, 2) if quick else (16, 7, 28, 16)
        title = "First call of a diagonal PixelRNN, forward and backward"
        tables.append((title, first_call_rows(*model, with_targets=not quick)))
        print_table(*tables[-1], unit="s")
    if options.json:
        write_json(options.json, machine, vars(options), tables)


if __name__ == "__main__":
    main()
