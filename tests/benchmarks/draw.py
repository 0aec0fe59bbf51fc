"""One training step of DRAW, forward and backward, against other implementations.

    python -m tests.benchmarks.draw

Times the loss of DRAW at the paper's setting for MNIST and its gradients with respect
to all weights. Also measures the first step and the growth of memory with the glimpses,
and times a step of a VAE against one without TensorFlow Probability. Programs that
compute the same result use the same weights and noise, and are checked to agree.
"""

import collections
import functools
import gc
import pathlib
import re
import statistics

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import DRAWLoop
from keras_genimg.models import VAE
from tests.benchmarks import timing
from tests.benchmarks.draw_peers import HandWrittenVAE, unrolled_draw
from tests.benchmarks.presets import operations_of
from tests.benchmarks.timing import NOTE, OURS, XLA
from tests.gpu.kernels import nodes_of

TOLERANCE = 1e-3  # Rounding errors grow over the glimpses.
UNROLLED = "plain TensorFlow, unrolled"
TORCH = "PyTorch, eager loop"
# A separate filter for each pixel and each cell of a glimpse would need five.
MAX_RANK = 4

# Sizes of DRAW on black and white square images.
Setting = collections.namedtuple(
    "Setting", "glimpses, units, latent_dim, read_size, write_size, side, batch"
)
MNIST = Setting(64, 256, 100, 2, 5, 28, 64)
TINY = Setting(3, 8, 4, 2, 3, 6, 2)


def random_case(setting):
    """Return a loop, its variables by their paths in the cell, images and noise."""
    shape = (setting.side, setting.side, 1)
    sizes = setting.units, setting.latent_dim, setting.read_size, setting.write_size
    loop = DRAWLoop(setting.glimpses, shape, *sizes, name="loop")
    loop.build((None, *shape))
    randomize(loop, gain=0.5)
    weights = {
        weight.path.removeprefix("loop/cell/"): weight.value
        for weight in loop.trainable_weights
    }
    images = timing.binary_images(setting.batch, setting.side)
    noise = np.random.default_rng(1).normal(
        size=(setting.glimpses, setting.batch, setting.latent_dim)
    )
    return loop, weights, images, noise.astype("float32")


def tensorflow_step(kind, setting):
    """Return an untraced `tf.function` that returns the loss and its gradients."""
    loop, weights, *arrays = random_case(setting)
    images, noise = map(tf.constant, arrays)

    def our_loss():
        outputs, canvas = loop.run(images, noise)
        likelihood = loop.cell.likelihood
        log_prob = likelihood.log_prob(loop.cell.params(canvas), images)
        divergence = tf.reduce_sum(loop.divergences(outputs))
        return (divergence - tf.reduce_sum(log_prob)) / setting.batch

    def unrolled_loss():
        read = {name: weight.read_value() for name, weight in weights.items()}
        sizes = setting.read_size, setting.write_size
        return unrolled_draw(images, noise, read, *sizes)

    loss = unrolled_loss if kind == UNROLLED else our_loss
    return timing.gradient_step(loss, weights, jit_compile=XLA in kind)


def time_steps(benchmark, setting):
    """Print a table of programs, and one of the physical bound."""
    steps = {k: tensorflow_step(k, setting) for k in (OURS, OURS + XLA, UNROLLED)}
    if timing.installed("torch"):
        from tests.benchmarks import torch_peers

        _, weights, images, noise = random_case(setting)
        arrays = {name: weight.numpy() for name, weight in weights.items()}
        sizes = setting.read_size, setting.write_size
        steps |= torch_peers.on_threads(
            TORCH, torch_peers.draw_step(images, noise, arrays, *sizes)
        )
    timing.check_agreement({name: step() for name, step in steps.items()}, TOLERANCE)
    side = 64 if benchmark.options.quick else 2048
    factor = tf.random.stateless_normal((side, side), (0, 0))
    product = tf.function(tf.matmul, autograph=False)
    steps["product"] = lambda: product(factor, factor)
    timings, _ = benchmark.time(steps)
    seconds = timings.pop("product").median
    size = f"{setting.glimpses} glimpses, h={setting.units}, batch {setting.batch}"
    rows = timing.compared(timings, size)
    benchmark.table("DRAW, forward and backward", rows, NOTE)

    # Seconds and operations.
    measured = {f"one {side}x{side} matrix product": (seconds, 2 * side**3)}
    for name in (OURS, OURS + XLA):
        seconds = timings[name].median / setting.glimpses
        operations = operations_of(steps[OURS].get_concrete_function().graph)
        measured[f"{name}, a glimpse"] = (seconds, operations / setting.glimpses)
    rows = [
        {"program": name, "ms": 1000 * time, "GFLOP/s": operations / time / 1e9}
        for name, (time, operations) in measured.items()
    ]
    note = "Counts only the operations of matrix products."
    benchmark.table("DRAW against the machine's fastest matrix product", rows, note)


def check_ranks(graph):
    """Fail if a tensor has too many axes."""
    for node in nodes_of(graph, add_shapes=True):
        for shape in node.attr["_output_shapes"].list.shape:
            sizes = [axis.size for axis in shape.dim]
            assert len(sizes) <= MAX_RANK, f"{node.op} {node.name} has axes of {sizes}"


def first_step(kind, setting):
    """Return the seconds of tracing and of the first step with it, and the graph."""
    gc.collect()  # Otherwise, the collector visits the graphs of earlier programs.
    step = tensorflow_step(kind, setting)
    traced = []
    tracing, _ = timing.timed(lambda: traced.append(step.get_concrete_function()))
    rest, _ = timing.timed(step)
    return tracing, tracing + rest, traced[0].graph


def time_first_steps(benchmark, setting, glimpses, repeats):
    """Print a table of the tracing and the first step, by number of glimpses."""
    rows = []
    quick = benchmark.options.quick
    for kind in (OURS, UNROLLED) if quick else (OURS, OURS + XLA, UNROLLED):
        # Costs of the first graph of a process are not the loop's.
        first_step(kind, setting._replace(glimpses=2))
        for count in glimpses:
            few = setting._replace(glimpses=count)
            *seconds, graphs = zip(
                *(first_step(kind, few) for _ in range(repeats)), strict=True
            )
            tracing, first = (1000 * statistics.median(each) for each in seconds)
            row = {"program": kind, "size": f"{count} glimpses"}
            row["nodes"] = len(nodes_of(graphs[0]))
            rows.append({**row, "tracing, ms": tracing, "ms": first})
        if kind != UNROLLED:
            nodes = [row["nodes"] for row in rows if row["program"] == kind]
            assert len(set(nodes)) == 1, f"{kind}: the graph grows: {nodes} nodes"
            check_ranks(graphs[0])
            print(f"{kind}: no tensor has more than {MAX_RANK} axes")
    benchmark.table("The first step of DRAW", rows)


def memory(glimpses, quick):
    """Return the seconds and the bytes that our first step takes.

    Must run in a new process. A step of few glimpses runs first, so that one-time costs
    are not counted.
    """
    for count in (2, glimpses):
        setting = TINY if quick else MNIST
        step = tensorflow_step(OURS, setting._replace(glimpses=count))
        step.get_concrete_function()
        gc.collect()
        # Reset the peak to the current memory.
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        before = peak_bytes()
        seconds, _ = timing.timed(step)
    return seconds, peak_bytes() - before


def peak_bytes():
    """Return the peak memory of the process in bytes; Linux only."""
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def vae_rows(benchmark):
    """Time `train_on_batch` of a VAE against that of a hand-written one."""
    sizes = (6, 8, 2, 4) if benchmark.options.quick else (28, 500, 20, 100)
    side, hidden, latent_dim, batch = sizes
    images = timing.binary_images(batch, side)
    keras.utils.set_random_seed(0)
    arguments = (side, side, 1), latent_dim, hidden
    models = {
        "with TFP: keras_genimg.models.VAE": VAE(*arguments),
        "without: keras.Model by hand": HandWrittenVAE(*arguments),
    }
    ours, other = models.values()
    weights = [weight.numpy() for weight in ours.trainable_weights]
    # With almost no noise, both must reach the same loss whatever noise they draw.
    weights[3][latent_dim:] = -12
    steps = {}
    for name, model in models.items():
        model.compile(keras.optimizers.Adagrad(0.02))
        for weight, value in zip(model.trainable_weights, weights, strict=True):
            weight.assign(value)
        train = model.train_on_batch
        steps[name] = functools.partial(train, images, return_dict=True)
    results, expected = (step() for step in steps.values())
    for key in ("loss", "kl", "reconstruction"):
        np.testing.assert_allclose(results[key], expected[key], rtol=1e-4)
    for pair in zip(ours.trainable_weights, other.trainable_weights, strict=True):
        np.testing.assert_allclose(*(w.numpy() for w in pair), rtol=0, atol=1e-3)
    timings, _ = benchmark.time(steps)
    size = f"{hidden} hidden, latent {latent_dim}, batch {batch}"
    rows = [
        {"program": name, "size": size, "ms": 1000 * timing.median}
        for name, timing in timings.items()
    ]
    rows[0]["ratio"] = rows[0]["ms"] / rows[1]["ms"]
    return rows


def main():
    benchmark = timing.Benchmark(__doc__)
    quick = benchmark.start().quick
    setting = TINY if quick else MNIST
    time_steps(benchmark, setting)
    glimpses, repeats = ((2, 4), 1) if quick else ((8, 16, 32, 64), 3)
    time_first_steps(benchmark, setting, glimpses, repeats)
    rows = []
    for count in (4,) if quick else (64, 128, 256, 512):
        seconds, size = timing.in_new_process(memory, count, quick)
        row = {"program": OURS, "size": f"{count} glimpses", "ms": 1000 * seconds}
        rows.append({**row, "MiB": size / 2**20})
    note = "Growth of the process's peak memory."
    benchmark.table("Memory of the first step of DRAW", rows, note)
    benchmark.table("VAE, train_on_batch", vae_rows(benchmark))


if __name__ == "__main__":
    main()
