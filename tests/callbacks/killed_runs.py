"""Kill training runs again and again, and compare their ends with runs left alone.

    python -m tests.callbacks.killed_runs
    python -m tests.callbacks.killed_runs --families PixelCNN --kills 2

Each family is trained for twelve steps on one device and by two workers. A run is
killed with SIGKILL after random numbers of steps and started again until it ends. Its
weights, history and evaluation must then be equal, to the last bit.
"""

import argparse
import pathlib
import random
import signal
import tempfile
import time

import numpy as np

from tests.callbacks import small_models
from tests.callbacks.test_workers import results, run_workers


def run_alone(directory, result, kill_after, family):
    """Train in a new process; return its exit code."""
    options = {"kill_after": (kill_after,), "models": (family, "--epochs=4")}
    codes, _ = run_workers(1, directory, result, **options)
    return codes[0]


def run_pair(directory, result, kill_after, family):
    """Train with two workers, of which the second is killed; return its exit code."""
    options = {"kill_after": (0, kill_after), "models": (family, "--epochs=4")}
    codes, printed = run_workers(2, directory, result, **options)
    if not kill_after:
        return max(codes)
    assert codes[0] != 0, printed  # A worker does not go on without the other.
    return codes[1]


def check(run, family, kills, folder, rng):
    """Compare a run that is killed with one that is not; return the steps of kills."""
    if run(folder / "whole", folder / "whole_result", 0, family):
        raise SystemExit(f"{family} does not train.")
    steps = []
    while len(steps) < kills:
        # Each start gets further by at most these steps, of twelve.
        steps.append(rng.randint(1, 10 // kills + 1))
        code = run(folder / "killed", folder / "killed_result", steps[-1], family)
        if code != -signal.SIGKILL:
            raise SystemExit(f"{family} was to be killed, but ended with {code}.")
    if run(folder / "killed", folder / "killed_result", 0, family):
        raise SystemExit(f"{family} cannot be resumed.")
    found, weights = results(folder / "killed_result0", (family,))
    expected, whole = results(folder / "whole_result0", (family,))
    pairs = zip(weights[family], whole[family], strict=True)
    same = all(np.array_equal(a, b) for a, b in pairs)
    if found != expected or not same:
        raise SystemExit(f"{family} ended elsewhere, killed after {steps} steps.")
    return steps


def main():
    """Run the whole check."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    families = tuple(small_models.FAMILIES)
    parser.add_argument("--families", nargs="+", choices=families, default=families)
    parser.add_argument("--kills", type=int, default=5, help="kills on one device")
    parser.add_argument("--two-worker-kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    plans = [("one device", run_alone, arguments.kills)]
    plans.append(("two workers", run_pair, arguments.two_worker_kills))
    for family in arguments.families:
        for where, run, kills in plans:
            if not kills:
                continue
            start = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                steps = check(run, family, kills, pathlib.Path(folder), rng)
            seconds = time.monotonic() - start
            print(
                f"{family}, {where}: killed after {steps} steps, the same bits at the "
                f"end ({seconds:.0f} s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
