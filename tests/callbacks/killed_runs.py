"""Kill training runs again and again, and compare their ends with runs left alone.

    python -m tests.callbacks.killed_runs
    python -m tests.callbacks.killed_runs --families PixelCNN --kills 2

Each family is trained for twelve steps on one device and by two workers. A run is
killed with SIGKILL after random numbers of steps and started again until it ends. Its
weights, history and evaluation must then be equal, to the last bit.
"""

import argparse
import itertools
import pathlib
import random
import signal
import tempfile

import numpy as np

from tests.callbacks.test_workers import results, run_workers
from tests.callbacks.worker import FAMILIES


def run(count, path, family, kill_after=0):
    """Train with some workers, of which the last is killed; return its exit code."""
    kills = (*[0] * (count - 1), kill_after)
    options = {"models": [family], "epochs": 4}
    codes, printed = run_workers(count, path, f"{path}_result", kills, **options)
    # A worker does not go on without the other.
    assert not kill_after or all(codes), printed
    return codes[-1]


def check(count, family, kills, folder, rng):
    """Compare a run that is killed with one that is not; return the steps of kills."""
    steps = []
    while len(steps) < kills:
        # Each start gets further by at most these steps, of twelve.
        steps.append(rng.randint(1, 10 // kills + 1))
        code = run(count, folder / "killed", family, steps[-1])
        if code != -signal.SIGKILL:
            raise SystemExit(f"{family} was to be killed, but ended with {code}.")
    ended = []
    for name in ("killed", "whole"):
        run(count, folder / name, family)
        ended.append(results(folder / f"{name}_result0"))
    np.testing.assert_equal(*ended, f"{family}, killed after {steps} steps")
    return steps


def main():
    """Run the whole check."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--kills", type=int, default=5, help="kills on one device")
    parser.add_argument("--two-worker-kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    plans = [(1, arguments.kills), (2, arguments.two_worker_kills)]
    for family, (count, kills) in itertools.product(arguments.families, plans):
        if not kills:
            continue
        with tempfile.TemporaryDirectory() as folder:
            steps = check(count, family, kills, pathlib.Path(folder), rng)
        where = f"{family}, workers: {count}"
        print(f"{where}, killed after {steps}: the same bits", flush=True)


if __name__ == "__main__":
    main()
