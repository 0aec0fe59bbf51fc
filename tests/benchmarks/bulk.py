"""Draw many images in bulk while worker processes are killed, and check them all.

    python -m tests.benchmarks.bulk --model outputs/served/digits/1 --kills 3
    python -m tests.benchmarks.bulk --model outputs/served/digits/1 --workers 1 2

Runs `genimg-bulk-sample` with this Python, once for each number of workers. Kills as
many of its worker processes as asked for, at random times, and starts the command again
if that ended it. Then reads all shards: seeds must be complete, each there once. Prints
images a second and a SHA-256 hash over all seeds and pixels, which is equal for all
engines. Needs TensorFlow, tqdm and psutil, and what the engine needs.
"""

import argparse
import contextlib
import hashlib
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import numpy as np
import psutil

SAMPLE = "genimg_export.bulk.sample"
SHARDS = "--format npz --num-shards 40 --batch-size 256".split()
LONGEST = 20  # Seconds between two kills.
# In the command line of a worker process. Beam's own runner has threads.
WORKERS = {"local": "spawn_main", "ray": "ray::MapWorker", "beam": SAMPLE}


def worker_processes(engine, number):
    """Return the processes that draw for a command, given the number of its process."""
    command, found = psutil.Process(number), []
    for process in [command, *command.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):  # It may have ended.
            if WORKERS[engine] in " ".join(process.cmdline()):
                found.append(process)
    return found


def run(command, engine, kills):
    """Run a command to its end, killing workers; return its number of starts."""
    starts = 0
    killing = random.Random(0)
    while True:
        starts += 1
        process = subprocess.Popen(command)
        next_kill = time.monotonic() + LONGEST * killing.random()
        while process.poll() is None:
            time.sleep(0.2)
            if kills and time.monotonic() > next_kill:
                workers = worker_processes(engine, process.pid)
                if workers:
                    killing.choice(workers).kill()
                    kills -= 1
                    print(f"Killed a worker; {kills} more to kill.", flush=True)
                next_kill = time.monotonic() + LONGEST * killing.random()
        if process.returncode == 0:
            return starts
        if starts > 10:
            raise AssertionError(f"the command failed {starts} times")


def checked(prefix, num_images):
    """Return the hash of all seeds and pixels in order, none missing, none twice."""
    digest, seeds = hashlib.sha256(), []
    for shard in sorted(prefix.parent.glob(f"{prefix.name}-*.npz")):
        with np.load(shard) as arrays:
            seeds.append(arrays["seed"])
            for seed, image in zip(arrays["seed"], arrays["images"], strict=True):
                digest.update(int(seed).to_bytes(8, "little") + image.tobytes())
    np.testing.assert_array_equal(np.concatenate(seeds), np.arange(num_images))
    return digest.hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", required=True)
    add("--num-images", type=int, default=100_000)
    add("--engine", choices=WORKERS, default="local")
    add("--workers", type=int, nargs="+", default=[2])
    add("--kills", type=int, default=0)
    given = parser.parse_args()
    hashes = set()
    for workers in given.workers:
        with tempfile.TemporaryDirectory() as folder:
            prefix = pathlib.Path(folder) / "digits"
            command = [sys.executable, "-m", SAMPLE, *SHARDS, "--output", prefix]
            command += ["--model", given.model, "--engine", given.engine]
            command += ["--num-images", str(given.num_images)]
            command += ["--workers", str(workers)]
            begun = time.monotonic()
            starts = run(command, given.engine, given.kills)
            seconds = time.monotonic() - begun
            found = checked(prefix, given.num_images)
            hashes.add(found)
            print(
                f"{given.engine}, {workers} workers: {given.num_images:,} images in "
                f"{seconds:.1f} s, {given.num_images / seconds:,.0f} a second, the "
                f"command started {starts} times; SHA-256 {found}",
                flush=True,
            )
    assert len(hashes) == 1


if __name__ == "__main__":
    main()
