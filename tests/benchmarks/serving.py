"""Many clients drawing images from the embedded server at the same time.

    python -m tests.benchmarks.serving
    python -m tests.benchmarks.serving --clients 1 2 8 --seconds 20 \\
        --presets PixelCNN/mnist

Each reply is compared with the images of its seeds. Wrong images, refused requests and
missing replies are counted. The bound is the same signature called directly in one
process, with one image per call and with one image per client in each call.
"""

import collections
import functools
import pathlib
import random
import tempfile
import time

import numpy as np
import requests
import tensorflow as tf

import keras_genimg.models
from keras_genimg.models import DRAW
from keras_genimg.presets import find_preset, presets_with_weights
from tests.benchmarks.timing import Benchmark
from tests.export.running_server import calling, running

PRESETS = ["PixelRNN/digits_diagonal", "DRAW/digits"]  # These have no weights.
NUM_SEEDS = 256
TIMEOUT = 60


def draw_one(session, url, known, seed):
    """Draw the image of a seed; return what became of it, and the seconds it took."""
    start = time.perf_counter()
    try:
        reply = session.post(url, json={"instances": [seed]}, timeout=TIMEOUT)
    except requests.RequestException:
        return "dropped", None
    if reply.status_code != 200:
        return "refused", None
    seconds = time.perf_counter() - start
    image = reply.json()["predictions"][0]
    return ("right" if np.array_equal(image, known[seed]) else "wrong"), seconds


def put_load(url, known, clients, seconds):
    """Run several clients at once; return the cells of a row."""
    seeds, start = random.Random(0), time.perf_counter()

    def draw():
        return draw_one(session, url, known, seeds.randrange(NUM_SEEDS))

    with requests.Session() as session:
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=clients))
        with calling(draw, clients) as replies:
            time.sleep(seconds)
    seconds = time.perf_counter() - start
    counts = collections.Counter(outcome for outcome, _ in replies)
    latencies = [1000 * took for _, took in replies if took is not None]
    return {
        "images": len(latencies),
        "images/s": len(latencies) / seconds,
        "p50, ms": float(np.percentile(latencies, 50)),
        "p99, ms": float(np.percentile(latencies, 99)),
        **{outcome: counts[outcome] for outcome in ("wrong", "refused", "dropped")},
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
    add("--clients", type=int, nargs="+", default=[32], help="numbers of clients")
    add("--seconds", type=float, default=60, help="of each run")
    add("--presets", nargs="+", default=PRESETS, help="with weights, if there are any")
    options = benchmark.start()
    models = {}
    if options.quick:
        options.clients, options.seconds = [1, 4], 1
        options.presets, models = [], {"draw": DRAW((4, 4, 1), 2, 4, 2, 2, 2)}
    for preset in options.presets:
        owner, name = find_preset(preset)
        make = getattr(keras_genimg.models, owner).from_preset
        weights = name in presets_with_weights(owner)
        models[preset.replace("/", "_")] = make(name, weights=weights)
    most = max(options.clients)
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
                    rows += direct_rows(benchmark, name, path, most)
                scratch = pathlib.Path(tempfile.mkdtemp(dir=directory))
                flags = ["--max-concurrent", most] if batching else []
                with running(scratch, "--base-dir", base, *flags) as server:
                    url = f"{server.address}/v1/models/{served}:predict"
                    put_load(url, known, most, min(2, options.seconds))
                    for clients in options.clients:
                        cells = put_load(url, known, clients, options.seconds)
                        merged = "yes" if batching else "no"
                        given = {"merged in the graph": merged, "clients": clients}
                        rows.append({"model": name, **given, **cells})
    note = f"{options.seconds:g} s per run, 1 image per request"
    benchmark.table("Serving under load", rows, note)


if __name__ == "__main__":
    main()
