"""One training step of DRAW, forward and backward, against other ways to write it.

    python -m tests.benchmarks.draw

Times the loss of DRAW at the paper's setting for MNIST, and its gradients with respect
to all weights; what the first step costs, and how memory grows with the glimpses; and
that of a VAE, against one without TensorFlow Probability. The programs that compute
the same thing do it from the same weights and noise, and are checked to agree.
"""

import dataclasses
import gc
import json
import math
import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_genimg.layers import DRAWLoop  # noqa: E402
from keras_genimg.models import VAE  # noqa: E402
from tests.benchmarks import draw_peers  # noqa: E402
from tests.benchmarks.timing import (  # noqa: E402
    Program,
    Row,
    as_array,
    at_least,
    at_most,
    installed,
    number,
    parser,
    print_header,
    print_table,
    print_unsteady,
    time_programs,
    timed,
    write_json,
)
from tests.subprocesses import run_python  # noqa: E402


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


MNIST = Setting(64, 256, 100, 2, 5, 28, 64)
TINY = Setting(3, 8, 4, 2, 3, 6, 2)
# Rounding errors grow over the glimpses.
TOLERANCE = 1e-3

OURS = "keras_genimg"
UNROLLED = "plain TensorFlow, unrolled"
TORCH = "PyTorch, eager loop"
XLA = ", XLA"
# How many times faster than the peer.
TARGETS = {UNROLLED: at_least(1), TORCH: at_least(1.3)}
# A filter of its own for each pixel and each cell of a glimpse would need five.
MAX_RANK = 4
PRODUCT_SIZE = 2048


def random_loop(setting):
    """Return a loop with random weights, images and noise."""
    random = np.random.default_rng(0)
    shape = (setting.side, setting.side, 1)
    loop = DRAWLoop(
        setting.glimpses,
        shape,
        setting.units,
        setting.latent_dim,
        setting.read_size,
        setting.write_size,
        name="loop",
    )
    loop.build((None, *shape))
    for weight in loop.trainable_weights:
        scale = 0.3 if weight.shape.rank == 1 else 0.5 * weight.shape[0] ** -0.5
        weight.assign(random.normal(0, scale, weight.shape))
    images = random.integers(0, 2, (setting.batch, *shape)).astype("float32")
    noise = random.normal(size=(setting.glimpses, setting.batch, setting.latent_dim))
    return loop, images, noise.astype("float32")


def weights_of(loop):
    """Return the weights by their paths inside the cell."""
    prefix = "loop/cell/"
    return {w.path.removeprefix(prefix): w.value for w in loop.trainable_weights}


def our_loss(loop, images, noise):
    outputs, canvas = loop.run(images, noise)
    likelihood = loop.cell.likelihood
    log_prob = likelihood.log_prob(loop.cell.params(canvas), images)
    divergence = tf.reduce_sum(loop.divergences(outputs))
    return (divergence - tf.reduce_sum(log_prob)) / images.shape[0]


def our_step(loop, images, noise, jit_compile):
    """Return a `tf.function` of images and noise, not traced yet."""
    weights = weights_of(loop)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step(images, noise):
        with tf.GradientTape() as tape:
            loss = our_loss(loop, images, noise)
        return loss, tape.gradient(loss, weights)

    return step


def unrolled_step(loop, setting):
    """Return a `tf.function` of images and noise, not traced yet."""
    weights = {
        name: tf.Variable(value.numpy()) for name, value in weights_of(loop).items()
    }
    sizes = setting.read_size, setting.write_size

    @tf.function(autograph=False)
    def step(images, noise):
        with tf.GradientTape() as tape:
            read = {name: weight.read_value() for name, weight in weights.items()}
            loss = draw_peers.unrolled_draw(images, noise, read, *sizes)
        return loss, tape.gradient(loss, weights)

    return step


def step_programs(setting):
    """Return the programs that compute loss and gradients from the same weights."""
    loop, images, noise = random_loop(setting)
    tensors = tf.constant(images), tf.constant(noise)
    steps = {
        OURS: our_step(loop, *tensors, False),
        OURS + XLA: our_step(loop, *tensors, True),
        UNROLLED: unrolled_step(loop, setting),
    }
    programs = {name: Program(lambda s=s: s(*tensors)) for name, s in steps.items()}
    if installed("torch"):
        from tests.benchmarks import draw_torch_peers

        arrays = {name: value.numpy() for name, value in weights_of(loop).items()}
        for threads in sorted({1, os.cpu_count()}):
            sizes = setting.read_size, setting.write_size
            run = draw_torch_peers.gradient_step(images, noise, arrays, *sizes, threads)
            programs[f"{TORCH}, threads: {threads}"] = Program(run)
    return programs


def check_agreement(results):
    """Fail unless all programs gave the same loss and the same gradients.

    Returns:
        The largest difference, relative to the largest number of its tensor.
    """
    expected = labelled(results[OURS])
    worst = 0.0
    for name, result in results.items():
        for key, value in labelled(result).items():
            difference = abs(value - expected[key]).max() / abs(expected[key]).max()
            if not difference < TOLERANCE:
                raise AssertionError(
                    f"{name} disagrees with {OURS} on {key}: they differ by "
                    f"{difference:.2g} of the largest number, more than {TOLERANCE}"
                )
            worst = max(worst, difference)
    return worst


def labelled(result):
    loss, gradients = result
    gradients = {f"gradient of {key}": value for key, value in gradients.items()}
    return {key: as_array(value) for key, value in {"loss": loss, **gradients}.items()}


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
    # Each product has a gradient in both of its factors, a product as large.
    return 3 * 2 * multiplications * setting.batch * setting.glimpses


def step_tables(setting, timing_options, with_targets):
    """Time a step; return a table of programs, and one of the physical bound."""
    programs = step_programs(setting)
    _, results = time_programs(programs, rounds=0)
    worst = check_agreement(results)
    print(f"{setting}: {len(programs)} programs agree to {worst:.1g}", flush=True)
    size = PRODUCT_SIZE if with_targets else 64
    factor = tf.random.stateless_normal((size, size), (0, 0))
    product = tf.function(tf.matmul, autograph=False)
    programs["product"] = Program(lambda: product(factor, factor))
    timings, _ = time_programs(programs, **timing_options)
    print_unsteady(timings)
    product_time = timings.pop("product").median
    rate = 2 * size**3 / product_time
    ours, ours_xla = timings[OURS].median, timings[OURS + XLA].median
    rows = []
    for name, timing in faster_threads(timings).items():
        target = TARGETS.get(name.split(", threads")[0]) if with_targets else None
        rows.append(
            Row(
                name,
                str(setting),
                timing.median,
                ratio=None if XLA in name else timing.median / ours,
                target=target,
                xla_ratio=None if name == OURS else timing.median / ours_xla,
                note="" if OURS in name else "Its time over ours.",
            )
        )
    flops = product_flops(setting)
    label = f"{number(rate / 1e9)} GFLOP/s"
    bounds = [Row(f"one {size}x{size} matrix product", label, product_time)]
    for name in (OURS, OURS + XLA):
        seconds = timings[name].median
        share = flops / seconds / rate
        bounds.append(
            Row(
                f"{name}, a glimpse",
                f"{number(flops / 1e9 / setting.glimpses)} GFLOP, "
                f"{number(flops / seconds / 1e9)} GFLOP/s",
                seconds / setting.glimpses,
                **{"xla_ratio" if XLA in name else "ratio": share},
                note="Operations of its matrix products alone. The ratio is their "
                "rate over that of the large product.",
            )
        )
    return rows, bounds


def faster_threads(timings):
    """Return timings, of each PyTorch program with its faster number of threads."""
    best = {}
    for name, timing in timings.items():
        program = name.split(", threads")[0]
        if program not in best or timing.median < timings[best[program]].median:
            best[program] = name
    return {name: timings[name] for name in best.values()}


def graph_nodes(graph_def):
    """Return the nodes of a graph, those of its functions included."""
    nodes = list(graph_def.node)
    for function in graph_def.library.function:
        nodes += function.node_def
    return nodes


def check_shapes(graph_def):
    """Fail if a tensor has too many axes; return the size of the largest known one."""
    largest = 0
    for node in graph_nodes(graph_def):
        for shape in node.attr["_output_shapes"].list.shape:
            sizes = [axis.size for axis in shape.dim]
            if len(sizes) > MAX_RANK:
                raise AssertionError(
                    f"{node.op} {node.name} has {len(sizes)} axes: {sizes}"
                )
            if -1 not in sizes and not shape.unknown_rank:
                largest = max(largest, math.prod(sizes))
    return largest


def first_step_rows(setting, glimpses, repeats, with_targets):
    """Time the tracing and the first step, for several numbers of glimpses."""
    kinds = [OURS, OURS + XLA, UNROLLED] if with_targets else [OURS, UNROLLED]
    traced, first, nodes = {}, {}, {}
    # What is only slow in a process's first graph is none of the loop's.
    few = dataclasses.replace(setting, glimpses=2)
    for repeat in range(1 + repeats):
        for count in glimpses if repeat else [few.glimpses]:
            loop, images, noise = random_loop(
                dataclasses.replace(setting, glimpses=count)
            )
            tensors = tf.constant(images), tf.constant(noise)
            for kind in kinds:
                if kind == UNROLLED:
                    step = unrolled_step(loop, setting)
                else:
                    step = our_step(loop, *tensors, XLA in kind)
                seconds, concrete = timed_trace(step, tensors)
                rest, _ = timed(lambda step=step, tensors=tensors: step(*tensors))
                if repeat:
                    traced.setdefault((kind, count), []).append(seconds)
                    first.setdefault((kind, count), []).append(seconds + rest)
                    graph_def = concrete.graph.as_graph_def(add_shapes=True)
                    nodes[kind, count] = len(graph_nodes(graph_def))
                    if kind == OURS:
                        largest = check_shapes(graph_def)
                # Or the collector goes through the graphs of earlier programs.
                del step, concrete
                gc.collect()
    print(
        f"No tensor of our graph has more than {MAX_RANK} axes. With "
        f"{glimpses[-1]} glimpses the largest of known shape has {largest:,} numbers."
    )
    for kind in kinds[:-1]:
        counts = {nodes[kind, count] for count in glimpses}
        assert len(counts) == 1, f"{kind}: the graph grows with the glimpses: {counts}"
    rows = []
    for what, seconds in (("tracing", traced), ("first step", first)):
        for kind in kinds:
            for count in glimpses:
                median = statistics.median(seconds[kind, count])
                row = Row(
                    f"{kind}, {what}",
                    f"{count} glimpses, {nodes[kind, count]:,} nodes",
                    median,
                    note="The ratio is to the fewest glimpses.",
                )
                rows.append(row)
                ratio = median / statistics.median(seconds[kind, glimpses[0]])
                constant = what == "tracing" and kind != UNROLLED and with_targets
                target = at_most(1.5) if constant else None
                if XLA in kind:
                    row.xla_ratio, row.xla_target = ratio, target
                else:
                    row.ratio, row.target = ratio, target
    return rows


def timed_trace(step, tensors):
    """Return seconds and concrete function of the tracing of a `tf.function`."""
    traced = []
    seconds, _ = timed(lambda: traced.append(step.get_concrete_function(*tensors)))
    return seconds, traced[0]


def print_peak(glimpses, kind, quick):
    """Print the seconds of a step and the bytes that it took, as JSON.

    To be run in a process of its own. What a first step costs once was paid by a step
    of few glimpses.
    """
    setting = dataclasses.replace(TINY if quick else MNIST, glimpses=glimpses)
    for count in (2, glimpses):
        loop, images, noise = random_loop(dataclasses.replace(setting, glimpses=count))
        tensors = tf.constant(images), tf.constant(noise)
        if kind == UNROLLED:
            step = unrolled_step(loop, setting)
        else:
            step = our_step(loop, *tensors, XLA in kind)
        step.get_concrete_function(*tensors)
        gc.collect()
        with open("/proc/self/clear_refs", "w") as opened:
            opened.write("5")  # The peak is what there is now.
        before = peak_bytes()
        seconds, _ = timed(lambda: step(*tensors))  # noqa: B023
    print(json.dumps({"seconds": seconds, "bytes": peak_bytes() - before}))


def peak_bytes():
    """Return the most memory that the process has had, where Linux tells."""
    with open("/proc/self/status") as opened:
        for line in opened:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status says nothing of VmHWM")


def memory_rows(kinds, glimpses, quick):
    """Return rows of the memory of a step, for several numbers of glimpses."""
    rows = []
    for kind in kinds:
        taken = []
        for count in glimpses:
            call = f"print_peak({count}, {kind!r}, {quick})"
            code = f"from tests.benchmarks.draw import print_peak; {call}"
            output = json.loads(run_python("-c", code).splitlines()[-1])
            taken.append(output["bytes"])
            row = Row(
                kind,
                f"{count} glimpses: {output['bytes'] / 2**20:,.0f} MiB",
                output["seconds"],
                note="Growth of the process's peak memory, and the ratio of it to that "
                "of half as many glimpses; the time is that of the first step.",
            )
            rows.append(row)
            if len(taken) < 2 or quick:
                continue
            ratio = taken[-1] / taken[-2]
            if XLA in kind:
                row.xla_ratio, row.xla_target = ratio, at_most(2.2)
            else:
                row.ratio, row.target = ratio, at_most(2.2)
    return rows


def vae_rows(timing_options, quick):
    """Time `train_on_batch` of a VAE against one that is written by hand."""
    side, hidden, latent_dim, batch = (6, 8, 2, 4) if quick else (28, 500, 20, 100)
    images = np.random.default_rng(0).integers(0, 2, (batch, side, side, 1))
    images = images.astype("float32")
    keras.utils.set_random_seed(0)
    ours = VAE((side, side, 1), latent_dim, hidden)
    theirs = draw_peers.HandWrittenVAE((side, side, 1), latent_dim, hidden)
    weights = [weight.numpy() for weight in ours.trainable_weights]
    # With almost no noise both must come to the same, whatever noise they draw.
    weights[3][latent_dim:] = -12
    names = ["with TFP: keras_genimg.models.VAE", "without: keras.Model by hand"]
    models = dict(zip(names, (ours, theirs), strict=True))
    for model in models.values():
        model.compile(keras.optimizers.Adagrad(0.02))
        for weight, value in zip(model.trainable_weights, weights, strict=True):
            weight.assign(value)
    results = [
        model.train_on_batch(images, return_dict=True) for model in (ours, theirs)
    ]
    for key in ("loss", "kl", "reconstruction"):
        np.testing.assert_allclose(results[0][key], results[1][key], rtol=1e-4)
    for pair in zip(ours.trainable_weights, theirs.trainable_weights, strict=True):
        np.testing.assert_allclose(*(w.numpy() for w in pair), rtol=0, atol=1e-3)
    programs = {
        name: Program(lambda m=model: m.train_on_batch(images, return_dict=True))
        for name, model in models.items()
    }
    timings, _ = time_programs(programs, **timing_options)
    print_unsteady(timings)
    first, second = (timings[name].median for name in names)
    size = f"{hidden} hidden, latent {latent_dim}, batch {batch}"
    target = None if quick else at_most(1.05)
    return [
        Row(names[0], size, first, first / second, target, note="Over the other's."),
        Row(names[1], size, second),
    ]


def main():
    options = parser(__doc__.splitlines()[0], rounds=7).parse_args()
    quick = options.quick
    setting = TINY if quick else MNIST
    timing_options = {
        "rounds": options.rounds or (1 if quick else 7),
        "turn_seconds": 0 if quick else 0.2,
    }
    machine = print_header("DRAW")
    if not installed("torch"):
        print("PyTorch is not installed, so it is left out.")
    tables = []

    def add(title, rows):
        tables.append((title, rows))
        print_table(title, rows)
        keras.backend.clear_session()

    steps, bounds = step_tables(setting, timing_options, not quick)
    add("DRAW, forward and backward", steps)
    add("DRAW against the machine's fastest matrix product", bounds)
    glimpses = (2, 4) if quick else (8, 16, 32, 64)
    repeats = min(3, timing_options["rounds"])
    rows = first_step_rows(setting, glimpses, repeats, not quick)
    add("The first step of DRAW", rows)
    kinds = [OURS] if quick else [OURS, OURS + XLA]
    glimpses = (4,) if quick else (64, 128, 256, 512)
    add("Memory of a step of DRAW", memory_rows(kinds, glimpses, quick))
    add("VAE, train_on_batch", vae_rows(timing_options, quick))
    if options.json:
        write_json(options.json, machine, vars(options), tables)


if __name__ == "__main__":
    main()
