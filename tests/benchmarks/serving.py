"""Many clients drawing images from the embedded server at the same time.

    python -m tests.benchmarks.serving
    python -m tests.benchmarks.serving --clients 1 --seconds 20 --presets PixelCNN/mnist

Each reply is compared with the images of its seeds. Wrong images, refused requests and
missing replies are counted. The bound is the same signature called directly in one
process, with one image per call and with one image per client in each call.
"""

import collections
import concurrent.futures
import functools
import pathlib
import tempfile
import time

import numpy as np
import requests
import tensorflow as tf

import keras_genimg.models
from keras_genimg.models import DRAW, PixelRNN
from keras_genimg.presets import find_preset
from tests.benchmarks.timing import Benchmark
from tests.export.running_server import running

NUM_SEEDS = 256
TIMEOUT = 60


def draw_until(end, url, known, client):
    """Act as a client that draws one image per request until the time is up.

    Returns:
        `collections.Counter` of the bad replies by kind, and the seconds of each
        answered request.
    """
    random = np.random.default_rng(client)
    counts, latencies = collections.Counter(), []
    with requests.Session() as session:
        while (start := time.perf_counter()) < end:
            seed = int(random.integers(NUM_SEEDS))
            try:
                reply = session.post(url, json={"instances": [seed]}, timeout=TIMEOUT)
            except requests.RequestException:
                counts["dropped"] += 1
                continue
            if reply.status_code != 200:
                counts["refused"] += 1
                continue
            latencies.append(time.perf_counter() - start)
            image = reply.json()["predictions"][0]
            counts["wrong"] += not np.array_equal(image, known[seed])
    return counts, latencies


def put_load(url, known, clients, seconds):
    """Run several clients at once; return the cells of a row."""
    start = time.perf_counter()
    act = functools.partial(draw_until, start + seconds, url, known)
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        counts, latencies = zip(*pool.map(act, range(clients)), strict=True)
    seconds = time.perf_counter() - start
    latencies, counts = np.concatenate(latencies), sum(counts, collections.Counter())
    return {
        "images": len(latencies),
        "images/s": len(latencies) / seconds,
        "p50, ms": 1000 * float(np.percentile(latencies, 50)),
        "p99, ms": 1000 * float(np.percentile(latencies, 99)),
        **{kind: counts[kind] for kind in ("wrong", "refused", "dropped")},
    }


def direct_rows(benchmark, name, path, clients):
    """Return rows of the signature itself, by images per call."""
    sample = tf.saved_model.load(str(path)).signatures["sample"]
    programs = {
        count: functools.partial(sample, seed=tf.range(count, dtype=tf.int64))
        for count in (1, clients)
    }
    timings, _ = benchmark.time(programs)
    return [
        {
            "model": name,
            "merged in the graph": f"no server, {count} images a call",
            "images/s": count / timing.median,
        }
        for count, timing in timings.items()
    ]


def main():
    benchmark = Benchmark(__doc__, rounds=3)
    add = benchmark.parser.add_argument
    add("--clients", type=int, default=32)
    add("--seconds", type=float, default=60, help="of each run")
    trained = "with their weights, in place of the two small models"
    add("--presets", nargs="+", metavar="FAMILY/NAME", help=trained)
    options = benchmark.start()
    if options.quick:
        options.clients, options.seconds = 4, 1
        models = {"draw": DRAW((4, 4, 1), 2, 4, 2, 2, 2)}
    elif options.presets:
        models = {}
        for preset in options.presets:
            family, name = find_preset(preset)
            family = getattr(keras_genimg.models, family)
            models[preset.replace("/", "_")] = family.from_preset(name, weights=True)
    else:
        models = {
            "pixelrnn": PixelRNN.from_preset("digits_diagonal"),
            "draw": DRAW.from_preset("digits"),
        }
    load = options.clients, options.seconds
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        base = pathlib.Path(directory, "models")
        for name, model in models.items():
            known = model.generate(NUM_SEEDS, seed=0, verbose=0)
            known = model.likelihood.to_display(known)
            for batching in (False, True):
                served = f"{name}-{batching}"
                path = base / served / "1"
                model.export(path, batching=batching, verbose=False)
                if not batching:
                    rows += direct_rows(benchmark, name, path, options.clients)
                scratch = pathlib.Path(tempfile.mkdtemp(dir=directory))
                flags = ["--max-concurrent", options.clients] if batching else []
                with running(scratch, "--base-dir", base, *flags) as server:
                    url = f"{server.address}/v1/models/{served}:predict"
                    put_load(url, known, options.clients, min(2, options.seconds))
                    cells = put_load(url, known, *load)
                merged = "yes" if batching else "no"
                rows.append({"model": name, "merged in the graph": merged, **cells})
    note = "{} clients, {:g} s per run, 1 image per request".format(*load)
    benchmark.table("Serving under load", rows, note)


if __name__ == "__main__":
    main()
