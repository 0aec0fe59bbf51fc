"""One training step of DRAW, forward and backward, against other implementations.

    python -m tests.benchmarks.draw

Times the loss of DRAW at the paper's setting for MNIST and its gradients with respect
to all weights. Also measures the first step and the growth of memory with the glimpses,
and times a step of a VAE against one without TensorFlow Probability. Programs that
compute the same result use the same weights and noise, and are checked to agree.
"""

import dataclasses
import gc
import math
import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from tests.benchmarks.draw_memory import memory_rows  # noqa: E402
from tests.benchmarks.draw_programs import (  # noqa: E402
    MNIST,
    OURS,
    TINY,
    UNROLLED,
    XLA,
    our_step,
    random_loop,
    unrolled_step,
    weights_of,
)
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
from tests.benchmarks.vae_step import vae_rows  # noqa: E402

# Rounding errors grow over the glimpses.
TOLERANCE = 1e-3

TORCH = "PyTorch, eager loop"
# Minimum speedup over the peer.
TARGETS = {UNROLLED: at_least(1), TORCH: at_least(1.3)}
# A separate filter for each pixel and each cell of a glimpse would need five.
MAX_RANK = 4
PRODUCT_SIZE = 2048


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
    expected = labeled(results[OURS])
    worst = 0.0
    for name, result in results.items():
        for key, value in labeled(result).items():
            difference = abs(value - expected[key]).max() / abs(expected[key]).max()
            if not difference < TOLERANCE:
                raise AssertionError(
                    f"{name} disagrees with {OURS} on {key}: they differ by "
                    f"{difference:.2g} of the largest number, more than {TOLERANCE}"
                )
            worst = max(worst, difference)
    return worst


def labeled(result):
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
    # Each product has two gradients, each a product of the same size.
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
                note="" if OURS in name else "Ratio of its time to ours.",
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
                note="Counts only the operations of matrix products. The ratio is "
                "to the rate of the large product.",
            )
        )
    return rows, bounds


def faster_threads(timings):
    """Return timings, with the faster number of threads for each PyTorch program."""
    best = {}
    for name, timing in timings.items():
        program = name.split(", threads")[0]
        if program not in best or timing.median < timings[best[program]].median:
            best[program] = name
    return {name: timings[name] for name in best.values()}


def graph_nodes(graph_def):
    """Return the nodes of a graph, including those of its functions."""
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
    # Warm up first: costs of the first graph of a process are not the loop's.
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
                # Otherwise, the collector visits the graphs of earlier programs.
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
    """Trace a `tf.function`; return the seconds and the concrete function."""
    traced = []
    seconds, _ = timed(lambda: traced.append(step.get_concrete_function(*tensors)))
    return seconds, traced[0]


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
