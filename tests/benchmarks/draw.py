"""One training step of DRAW, forward and backward, against other implementations.

    python -m tests.benchmarks.draw

Times the loss of DRAW at the paper's setting for MNIST and its gradients with respect
to all weights. Also measures the first step and the growth of memory with the glimpses,
and times a step of a VAE against one without TensorFlow Probability. Programs that
compute the same result use the same weights and noise, and are checked to agree.
"""

import dataclasses
import functools
import gc
import statistics

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import DRAWLoop
from keras_genimg.models import VAE
from tests.benchmarks.draw_peers import HandWrittenVAE, unrolled_draw
from tests.benchmarks.timing import (
    NOTE,
    OURS,
    XLA,
    Benchmark,
    check_agreement,
    compared,
    gradient_step,
    in_new_process,
    installed,
    timed,
)
from tests.gpu.kernels import nodes_of

TOLERANCE = 1e-3  # Rounding errors grow over the glimpses.
UNROLLED = "plain TensorFlow, unrolled"
TORCH = "PyTorch, eager loop"
# A separate filter for each pixel and each cell of a glimpse would need five.
MAX_RANK = 4


@dataclasses.dataclass(frozen=True)
class Setting:
    """Sizes of DRAW on black and white square images."""

    glimpses: int
    units: int
    latent_dim: int
    read_size: int
    write_size: int
    side: int
    batch: int

    def __str__(self):
        return f"{self.glimpses} glimpses, h={self.units}, batch {self.batch}"

    def with_glimpses(self, glimpses):
        return dataclasses.replace(self, glimpses=glimpses)


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
    random = np.random.default_rng(0)
    images = random.integers(0, 2, (setting.batch, *shape)).astype("float32")
    noise = random.normal(size=(setting.glimpses, setting.batch, setting.latent_dim))
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
    return gradient_step(loss, weights, jit_compile=XLA in kind)


def product_flops(setting):
    """Return the operations of the matrix products of a step, forward and backward."""
    units, latents, side = setting.units, setting.latent_dim, setting.side
    read, write = setting.read_size, setting.write_size
    multiplications = (
        (2 * read**2 + 2 * units) * 4 * units  # Encoder.
        + (latents + units) * 4 * units  # Decoder.
        + units * (2 * latents + 5 + 5 + write**2)  # Linear maps.
        + 2 * read * side * (side + read)  # Read, from image and error.
        + write * side * (write + side)  # Write.
    )
    # Each product has two gradients, each a product of the same size.
    return 3 * 2 * multiplications * setting.batch * setting.glimpses


def time_steps(benchmark, setting):
    """Print a table of programs, and one of the physical bound."""
    steps = {k: tensorflow_step(k, setting) for k in (OURS, OURS + XLA, UNROLLED)}
    if installed("torch"):
        from tests.benchmarks import torch_peers

        _, weights, images, noise = random_case(setting)
        arrays = {name: weight.numpy() for name, weight in weights.items()}
        sizes = setting.read_size, setting.write_size
        steps |= torch_peers.on_threads(
            TORCH, torch_peers.draw_step(images, noise, arrays, *sizes)
        )
    check_agreement({name: step() for name, step in steps.items()}, TOLERANCE)
    side = 64 if benchmark.options.quick else 2048
    factor = tf.random.stateless_normal((side, side), (0, 0))
    product = tf.function(tf.matmul, autograph=False)
    steps["product"] = lambda: product(factor, factor)
    timings, _ = benchmark.time(steps)
    seconds = timings.pop("product").median
    rows = compared(timings, str(setting))
    benchmark.table("DRAW, forward and backward", rows, NOTE)

    # Seconds and operations.
    measured = {f"one {side}x{side} matrix product": (seconds, 2 * side**3)}
    for name in (OURS, OURS + XLA):
        step = np.array([timings[name].median, product_flops(setting)])
        measured[f"{name}, a glimpse"] = (step / setting.glimpses).tolist()
    rows = [
        {"program": name, "ms": 1000 * time, "GFLOP/s": operations / time / 1e9}
        for name, (time, operations) in measured.items()
    ]
    for row in rows[1:]:
        row["ratio"] = row["GFLOP/s"] / rows[0]["GFLOP/s"]
    benchmark.table(
        "DRAW against the machine's fastest matrix product",
        rows,
        "Counts only the operations of matrix products.",
    )


def check_ranks(graph):
    """Fail if a tensor has too many axes."""
    for node in nodes_of(graph, add_shapes=True):
        for shape in node.attr["_output_shapes"].list.shape:
            sizes = [axis.size for axis in shape.dim]
            if len(sizes) > MAX_RANK:
                raise AssertionError(
                    f"{node.op} {node.name} has {len(sizes)} axes: {sizes}"
                )


def first_step(kind, setting):
    """Return the seconds of tracing and of the first step with it, and the graph."""
    gc.collect()  # Otherwise, the collector visits the graphs of earlier programs.
    step = tensorflow_step(kind, setting)
    traced = []
    tracing, _ = timed(lambda: traced.append(step.get_concrete_function()))
    rest, _ = timed(step)
    return tracing, tracing + rest, traced[0].graph


def time_first_steps(benchmark, setting, glimpses, repeats):
    """Print a table of the tracing and the first step, by number of glimpses."""
    rows = []
    quick = benchmark.options.quick
    for kind in (OURS, UNROLLED) if quick else (OURS, OURS + XLA, UNROLLED):
        # Costs of the first graph of a process are not the loop's.
        first_step(kind, setting.with_glimpses(2))
        nodes = []
        for count in glimpses:
            few = setting.with_glimpses(count)
            *seconds, graphs = zip(
                *(first_step(kind, few) for _ in range(repeats)), strict=True
            )
            tracing, first = (statistics.median(each) for each in seconds)
            nodes.append(len(nodes_of(graphs[0])))
            row = {"program": kind, "size": f"{count} glimpses", "nodes": nodes[-1]}
            row |= {"tracing, ms": 1000 * tracing, "ms": 1000 * first}
            if count == glimpses[0]:
                fewest = tracing
            else:
                row["ratio"] = tracing / fewest
            rows.append(row)
        if kind != UNROLLED:
            assert len(set(nodes)) == 1, f"{kind}: the graph grows: {nodes} nodes"
            check_ranks(graphs[0])
            print(f"{kind}: no tensor has more than {MAX_RANK} axes")
    note = "The ratio is that of tracing to the fewest glimpses."
    benchmark.table("The first step of DRAW", rows, note)


def memory(kind, glimpses, quick):
    """Return the seconds and the bytes that a first step takes.

    Must run in a new process. A step of few glimpses runs first, so that one-time costs
    are not counted.
    """
    for count in (2, glimpses):
        step = tensorflow_step(kind, (TINY if quick else MNIST).with_glimpses(count))
        step.get_concrete_function()
        gc.collect()
        with open("/proc/self/clear_refs", "w") as opened:
            opened.write("5")  # Reset the peak to the current memory.
        before = peak_bytes()
        seconds, _ = timed(step)
    return seconds, peak_bytes() - before


def peak_bytes():
    """Return the peak memory of the process in bytes; Linux only."""
    with open("/proc/self/status") as opened:
        lines = dict(line.split(":", 1) for line in opened)
    return int(lines["VmHWM"].split()[0]) * 1024


def memory_rows(kind, glimpses, quick):
    """Return table rows of the memory of a step, by number of glimpses."""
    rows = []
    for count in glimpses:
        seconds, size = in_new_process(memory, kind, count, quick)
        row = {"program": kind, "size": f"{count} glimpses", "ms": 1000 * seconds}
        row["MiB"] = size / 2**20
        if rows:
            row["ratio"] = row["MiB"] / rows[-1]["MiB"]
        rows.append(row)
    return rows


def vae_rows(benchmark):
    """Time `train_on_batch` of a VAE against that of a hand-written one."""
    sizes = (6, 8, 2, 4) if benchmark.options.quick else (28, 500, 20, 100)
    side, hidden, latent_dim, batch = sizes
    images = np.random.default_rng(0).integers(0, 2, (batch, side, side, 1))
    images = images.astype("float32")
    keras.utils.set_random_seed(0)
    arguments = (side, side, 1), latent_dim, hidden
    ours, peer = VAE(*arguments), HandWrittenVAE(*arguments)
    models = {
        "with TFP: keras_genimg.models.VAE": ours,
        "without: keras.Model by hand": peer,
    }
    weights = [weight.numpy() for weight in ours.trainable_weights]
    # With almost no noise, both must reach the same loss whatever noise they draw.
    weights[3][latent_dim:] = -12
    programs = {}
    for name, model in models.items():
        model.compile(keras.optimizers.Adagrad(0.02))
        for weight, value in zip(model.trainable_weights, weights, strict=True):
            weight.assign(value)
        programs[name] = functools.partial(
            model.train_on_batch, images, return_dict=True
        )
    first, second = (step() for step in programs.values())
    for key in ("loss", "kl", "reconstruction"):
        np.testing.assert_allclose(first[key], second[key], rtol=1e-4)
    for pair in zip(ours.trainable_weights, peer.trainable_weights, strict=True):
        np.testing.assert_allclose(*(w.numpy() for w in pair), rtol=0, atol=1e-3)
    timings, _ = benchmark.time(programs)
    size = f"{hidden} hidden, latent {latent_dim}, batch {batch}"
    rows = [
        {"program": name, "size": size, "ms": 1000 * timing.median}
        for name, timing in timings.items()
    ]
    rows[0]["ratio"] = rows[0]["ms"] / rows[1]["ms"]
    return rows


def main():
    benchmark = Benchmark(__doc__)
    quick = benchmark.start().quick
    setting = TINY if quick else MNIST
    time_steps(benchmark, setting)
    glimpses, repeats = ((2, 4), 1) if quick else ((8, 16, 32, 64), 3)
    time_first_steps(benchmark, setting, glimpses, repeats)
    kinds = [OURS] if quick else [OURS, OURS + XLA]
    glimpses = (4,) if quick else (64, 128, 256, 512)
    rows = [row for kind in kinds for row in memory_rows(kind, glimpses, quick)]
    note = "Growth of the process's peak memory, its ratio to half as many glimpses."
    benchmark.table("Memory of the first step of DRAW", rows, note)
    benchmark.table("VAE, train_on_batch", vae_rows(benchmark))


if __name__ == "__main__":
    main()
