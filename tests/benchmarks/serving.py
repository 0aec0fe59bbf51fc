"""Many clients drawing images from the embedded server at the same time.

    python -m tests.benchmarks.serving

Each reply is compared with the images of its seeds. Wrong images, refused requests and
missing replies are counted. The bound is the same signature called directly in one
process, with one image per call and with one image per client in each call.
"""

import dataclasses
import json
import os
import pathlib
import tempfile
import threading
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
import requests  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_genimg.models import DRAW, PixelRNN  # noqa: E402
from tests.benchmarks.timing import (  # noqa: E402
    Program,
    number,
    parser,
    print_header,
    time_programs,
)
from tests.export.running_server import running  # noqa: E402

NUM_SEEDS = 256
TIMEOUT = 60


@dataclasses.dataclass
class Load:
    """Results of the clients of one run.

    Attributes:
        seconds: Time from the first request to the last reply.
        latencies: Seconds of each answered request.
        wrong: Replies whose images are not those of their seeds.
        refused: Replies with an error status.
        dropped: Requests without a reply.
    """

    seconds: float = 0.0
    latencies: list = dataclasses.field(default_factory=list)
    wrong: int = 0
    refused: int = 0
    dropped: int = 0

    @property
    def images_per_second(self):
        return len(self.latencies) / self.seconds

    def percentile(self, percent):
        return float(np.percentile(self.latencies, percent))


def draw_until(end, url, known, load, lock, seed):
    """Act as one client that draws one image per request until the time is up."""
    random = np.random.default_rng(seed)
    with requests.Session() as session:
        while time.perf_counter() < end:
            seed = int(random.integers(NUM_SEEDS))
            start = time.perf_counter()
            try:
                reply = session.post(url, json={"instances": [seed]}, timeout=TIMEOUT)
            except requests.RequestException:
                with lock:
                    load.dropped += 1
                continue
            seconds = time.perf_counter() - start
            succeeded = reply.status_code == 200
            right = succeeded and np.array_equal(
                reply.json()["predictions"][0], known[seed]
            )
            with lock:
                if succeeded:
                    load.latencies.append(seconds)
                load.refused += not succeeded
                load.wrong += succeeded and not right


def put_load(url, known, clients, seconds):
    """Run several clients at once; return their `Load`."""
    load, lock = Load(), threading.Lock()
    start = time.perf_counter()
    arguments = (start + seconds, url, known, load, lock)
    threads = [
        threading.Thread(target=draw_until, args=(*arguments, seed))
        for seed in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.perf_counter() - start
    return load


def direct_rates(path, clients):
    """Return images per second of the signature itself, by images per call."""
    loaded = tf.saved_model.load(str(path))
    sample = loaded.signatures["sample"]
    seeds = {number: tf.range(number, dtype=tf.int64) for number in (1, clients)}
    programs = {
        number: Program(lambda seed=seed: sample(seed=seed))
        for number, seed in seeds.items()
    }
    timings, _ = time_programs(programs, rounds=3)
    return {number: number / timing.median for number, timing in timings.items()}


def known_images(model):
    images = model.generate(NUM_SEEDS, seed=0, verbose=0)
    return model.likelihood.to_display(images)


def main():
    arguments = parser(__doc__.splitlines()[0], rounds=1)
    arguments.add_argument("--clients", type=int, default=32)
    arguments.add_argument("--seconds", type=float, default=60, help="of each run")
    options = arguments.parse_args()
    if options.quick:
        options.clients, options.seconds = 4, 1
        models = {"draw": DRAW((4, 4, 1), 2, 4, 2, 2, 2)}
    else:
        models = {
            "pixelrnn": PixelRNN.from_preset("digits_diagonal"),
            "draw": DRAW.from_preset("digits"),
        }
    machine = print_header("Serving")
    print(
        f"{options.clients} clients, {options.seconds:g} s per run, 1 image per request"
    )
    columns = [
        "model",
        "merged in the graph",
        "images",
        "images/s",
        "p50, ms",
        "p99, ms",
    ]
    columns += ["wrong", "refused", "dropped"]
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        base = pathlib.Path(directory, "models")
        for name, model in models.items():
            known = known_images(model)
            for batching in (False, True):
                served = f"{name}-{batching}"
                model.export(base / served / "1", batching=batching, verbose=False)
                scratch = pathlib.Path(directory, served)
                scratch.mkdir()
                flags = ["--max-concurrent", options.clients] if batching else []
                with running(scratch, "--base-dir", base, *flags) as server:
                    url = f"{server.address}/v1/models/{served}:predict"
                    put_load(url, known, options.clients, min(2, options.seconds))
                    load = put_load(url, known, options.clients, options.seconds)
                cells = [
                    name,
                    "yes" if batching else "no",
                    f"{len(load.latencies):,}",
                    number(load.images_per_second),
                    number(1000 * load.percentile(50)),
                    number(1000 * load.percentile(99)),
                    load.wrong,
                    load.refused,
                    load.dropped,
                ]
                rows.append(dict(zip(columns, cells, strict=True)))
            rates = direct_rates(base / f"{name}-False" / "1", options.clients)
            for images, rate in rates.items():
                cells = [name, f"no server, {images} images a call", "", number(rate)]
                rows.append(dict(zip(columns, cells + [""] * 5, strict=True)))
    print("\n| " + " | ".join(columns) + " |\n" + "|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")
    if options.json:
        content = {"machine": machine, "rows": rows}
        pathlib.Path(options.json).write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
