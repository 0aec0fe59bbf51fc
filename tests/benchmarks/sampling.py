"""Time of drawing images, against other implementations.

    python -m tests.benchmarks.sampling

Draws binary 28x28 images from a PixelRNN of 7 diagonal or row layers of 16 units, and
from a PixelCNN of 7 blocks of 32 units. Programs that draw from the same random numbers
are checked to draw the same images.
"""

import dataclasses
import functools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_genimg.models import PixelCNN, PixelRNN  # noqa: E402
from keras_genimg.ops import seeded_uniforms  # noqa: E402
from tests.benchmarks import sampling_peers as peers  # noqa: E402
from tests.benchmarks.timing import (  # noqa: E402
    Program,
    Row,
    at_least,
    at_most,
    parser,
    print_header,
    print_table,
    print_unsteady,
    time_programs,
    write_json,
)

FAMILIES = {
    "diagonal": ("PixelRNN, 7 diagonal layers, h=16", PixelRNN, 16, 7),
    "row": ("PixelRNN, 7 row layers, h=16", PixelRNN, 16, 7),
    "cnn": ("PixelCNN, 7 blocks, h=32", PixelCNN, 32, 7),
}
# Targets without and with XLA.
NONE = (None, None)
# Ratio to the time of one forward pass, by batch size.
FORWARD_TARGETS = {
    ("diagonal", 64): (at_most(1.3), at_most(0.7)),
    ("row", 64): (at_most(1.8), at_most(1.3)),
    ("cnn", 64): (at_most(4), at_most(3)),
    ("diagonal", 1): (at_most(5), at_most(0.3)),
    ("row", 1): (at_most(15), at_most(1.2)),
    ("cnn", 1): (at_most(35), at_most(3)),
}
GROWTH_TARGET = at_most(4.4)
# Peers at `PEER_BATCH`: name, target speedup over the peer, and whether the peer draws
# only the first pixels.
PEERS = {
    "loop": (
        "one forward pass per pixel, tf.while_loop",
        {
            "cnn": (at_least(120), at_least(300)),
            "row": (at_least(200), at_least(450)),
            "diagonal": (at_least(400), at_least(1400)),
        },
        True,
    ),
    "predict": (
        "one model.predict per pixel (keras.io)",
        dict.fromkeys(FAMILIES, (at_least(500), at_least(1000))),
        True,
    ),
    "tfp": (
        "tfd.PixelCNN.sample in a tf.function",
        {"cnn": (at_least(300), at_least(600))},
        False,
    ),
}
PEER_BATCH = 16
# A number this close to the boundary between two values may fall on either side.
TIE = 1e-5


def make_model(family, size, quick):
    """Return a model with random weights whose logits are neither 0 nor extreme."""
    keras.utils.set_random_seed(0)
    _, model_class, units, depth = FAMILIES[family]
    if quick:
        units, depth = 4, 1
    options = {} if family == "cnn" else {"layer": family}
    model = model_class((size, size, 1), units, depth, **options)
    images = np.random.default_rng(0).integers(0, 2, (16, size, size, 1))
    scale = 2 / np.std(model(images.astype("float32")))
    last = model.get_layer("logits")
    last.set_weights([scale * weight for weight in last.get_weights()])
    return model


def compiled_forward(model, batch, size):
    images = np.random.default_rng(1).integers(0, 2, (batch, size, size, 1))
    images = tf.constant(images, tf.float32)
    forward = tf.function(lambda x: model(x, training=False), autograph=False)
    return lambda: forward(images)


def generator(model, batch, method, jit_compile):
    def run():
        return model.generate(
            batch,
            seed=0,
            batch_size=batch,
            method=method,
            jit_compile=jit_compile,
            verbose=0,
        )

    return run


def uniforms_of(batch, size):
    """Return the uniform numbers that `generate(batch, seed=0)` uses."""
    return seeded_uniforms(np.arange(batch), (size, size, 1))


def check_images(model, drawn, expected, pixels, name):
    """Fail unless the first pixels are the same; return the number of ties.

    The first differing pixel of an image is a tie if its uniform number is so close to
    a boundary that rounding decides. Later pixels of the image may then differ.
    """
    batch, size = expected.shape[:2]
    drawn = np.asarray(drawn).reshape(batch, -1)[:, :pixels]
    differs = drawn != expected.reshape(batch, -1)[:, :pixels]
    if not differs.any():
        return 0
    logits = np.asarray(model(expected.astype("float32"))).reshape(batch, -1)
    edges = 1 / (1 + np.exp(logits))
    distances = abs(np.asarray(uniforms_of(batch, size)).reshape(batch, -1) - edges)
    images = np.flatnonzero(differs.any(axis=1))
    for image in images:
        pixel = differs[image].argmax()
        if distances[image, pixel] > TIE:
            raise AssertionError(
                f"Pixel {pixel} of image {image} differs between {name} and generate "
                f"without XLA, {distances[image, pixel]:.2g} away from a tie"
            )
    return len(images)


def drawing_programs(family, model, batches, options):
    """Return the programs of one family by kind and batch size.

    `"plain"` and `"XLA"` are `generate`; the others are as in `PEERS`.
    """
    size, pixels = options.size, options.pixels
    programs = {}
    for batch in batches[:2]:
        programs["forward", batch] = Program(compiled_forward(model, batch, size))
    for batch in batches:
        for kind in ("plain", "XLA"):
            run = generator(model, batch, options.method, kind == "XLA")
            programs[kind, batch] = Program(run)
    batch = batches[-1]
    uniforms = uniforms_of(batch, size)
    loop = peers.forward_passes(model, pixels)
    predict = functools.partial(peers.predict_calls, model, uniforms.numpy(), pixels)
    part = {"scale": size**2 / pixels, "slow": True}
    programs["loop", batch] = Program(lambda: loop(uniforms), **part)
    programs["predict", batch] = Program(predict, **part)
    if family == "cnn":
        tfp_model = peers.tfp_pixel_cnn(size)
        sample = tf.function(lambda: tfp_model.sample(batch, seed=0), autograph=False)
        programs["tfp", batch] = Program(sample, slow=True)
        print(
            f"Parameters: {tfp_model.network.count_params():,} of tfd.PixelCNN, "
            f"{model.count_params():,} of our PixelCNN"
        )
    return programs


def check_programs(model, results, options):
    """Check and print that all programs drew the same images.

    The images of `generate` without XLA are checked against the model: a forward pass
    over an image must reproduce each pixel from the pixels before it.
    """
    ties, compared = 0, 0
    for (kind, batch), drawn in results.items():
        if kind == "plain":
            edges = tf.sigmoid(-model(drawn.astype("float32")))
            again = uniforms_of(batch, options.size) >= edges
            name = f"a forward pass over batch {batch}"
            ties += check_images(model, again, drawn, options.size**2, name)
            compared += drawn.size
        if kind in ("XLA", "loop", "predict"):
            pixels = options.size**2 if kind == "XLA" else options.pixels
            name = f'"{kind}" of batch {batch}'
            ties += check_images(model, drawn, results["plain", batch], pixels, name)
            compared += batch * pixels
    but = f" except after a tie in {ties} images" if ties else ""
    print(f"{compared:,} pixels compared, all equal{but}")


def print_first_calls(timings):
    for kind, text in (
        ("plain", "first calls, including tracing"),
        ("XLA", "first calls with XLA, which compiles per batch size"),
    ):
        seconds = [
            f"{timing.first_call:.1f} s (batch {batch})"
            for (name, batch), timing in timings.items()
            if name == kind
        ]
        print(f"{text}: {', '.join(seconds)}", flush=True)


def drawing_rows(family, options):
    """Return the table's rows of one family."""
    with_targets = options.size == 28 and not options.quick
    batches = (1, 2) if options.quick else (64, 1, PEER_BATCH)
    model = make_model(family, options.size, options.quick)
    programs = drawing_programs(family, model, batches, options)
    timings, results = time_programs(programs, **options.timing)
    check_programs(model, results, options)
    print_first_calls(timings)
    print_unsteady(timings)

    names = {"plain": f'generate, "{options.method}"'}
    names["XLA"] = names["plain"] + ", XLA"
    rows = []
    for batch in batches:
        size = f"{options.size}x{options.size}, batch {batch}"
        forward = timings.get(("forward", batch))
        rows += [Row("forward pass", size, forward.median)] if forward else []
        for kind in ("plain", "XLA"):
            row = Row(names[kind], size, timings[kind, batch].median)
            rows.append(row)
            if forward is None:
                continue
            row.note = "Ratio to the time of one forward pass without XLA."
            ratio = row.seconds / forward.median
            plain_target, xla_target = FORWARD_TARGETS.get((family, batch), NONE)
            if kind == "plain":
                row.ratio, row.target = ratio, plain_target
            else:
                row.xla_ratio, row.xla_target = ratio, xla_target
    for kind, (name, targets, is_part) in PEERS.items():
        if (kind, batch) not in timings:
            continue
        seconds = timings[kind, batch].median
        note = "Ratio of its time to that of generate, without and with XLA."
        if is_part and options.pixels < options.size**2:
            note += f" Extrapolated from the first {options.pixels} pixels"
            note += f" to {options.size**2}."
        target, xla_target = targets[family]
        rows.append(
            Row(
                name,
                size,
                seconds,
                seconds / timings["plain", batch].median,
                target,
                seconds / timings["XLA", batch].median,
                xla_target,
                note,
            )
        )
    return rows if with_targets else without_targets(rows)


def growth_rows(family, options):
    """Return table rows of the time per image for three image sizes."""
    batch = 2 if options.quick else PEER_BATCH
    sizes = [options.size // 2, options.size]
    if not options.quick:
        sizes.append(2 * options.size)
    programs = {}
    for size in sizes:
        model = make_model(family, size, options.quick)
        for kind in ("plain", "XLA"):
            run = generator(model, batch, options.method, kind == "XLA")
            programs[kind, size] = Program(run)
    timings, _ = time_programs(programs, **options.timing)
    print_unsteady(timings)
    rows = []
    for kind in ("plain", "XLA"):
        for index, size in enumerate(sizes):
            row = Row(
                f'generate, "{options.method}"' + (", XLA" if kind == "XLA" else ""),
                f"{size}x{size}, batch {batch}",
                timings[kind, size].median / batch,
                note="Per image; the ratio is to the previous size.",
            )
            rows.append(row)
            if index == 0:
                continue
            ratio = row.seconds / rows[-2].seconds
            if kind == "plain":
                row.ratio, row.target = ratio, GROWTH_TARGET
            else:
                row.xla_ratio, row.xla_target = ratio, GROWTH_TARGET
    return without_targets(rows) if options.quick else rows


def without_targets(rows):
    """Return the rows without their targets, which apply to other sizes."""
    return [dataclasses.replace(r, target=None, xla_target=None) for r in rows]


def main():
    arguments = parser(__doc__.splitlines()[0], rounds=7)
    arguments.add_argument(
        "--family", nargs="+", choices=tuple(FAMILIES), default=tuple(FAMILIES)
    )
    arguments.add_argument("--method", default="incremental")
    arguments.add_argument("--size", type=int, default=28, help="height and width")
    arguments.add_argument(
        "--pixels",
        type=int,
        default=20,
        help="pixels drawn by the peers with one forward pass per pixel",
    )
    arguments.add_argument(
        "--slow-rounds", type=int, default=3, help="rounds in which slow peers run"
    )
    arguments.add_argument("--skip-growth", action="store_true")
    options = arguments.parse_args()
    if options.quick:
        options.size, options.pixels = min(options.size, 8), 5
        options.timing = {"rounds": options.rounds or 1, "turn_seconds": 0}
    else:
        rounds = options.rounds or 7
        options.timing = {"rounds": rounds, "slow_rounds": options.slow_rounds}
    options.pixels = min(options.pixels, options.size**2)
    machine = print_header("Sampling")
    tables = []
    for family in options.family:
        name = f"{family}, tiny" if options.quick else FAMILIES[family][0]
        print(f"\n## {name}\n")
        tables.append((f"{name}: drawing images", drawing_rows(family, options)))
        print_table(*tables[-1])
        keras.backend.clear_session()
        if not options.skip_growth:
            title = f"{name}: growth with the size of the image"
            tables.append((title, growth_rows(family, options)))
            print_table(*tables[-1])
            keras.backend.clear_session()
    if options.json:
        write_json(options.json, machine, vars(options), tables)


if __name__ == "__main__":
    main()
