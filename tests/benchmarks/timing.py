"""Shared code of the benchmarks: interleaved timing, tables and JSON files."""

import argparse
import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf


@dataclasses.dataclass
class Program:
    """A program to time.

    `run` takes no arguments and returns arrays or tensors. If it does only a part of
    the task, `scale` converts its time to that of the whole task. A `slow` program runs
    only in the first few rounds, without a warm-up call.
    """

    run: Callable
    scale: float = 1.0
    slow: bool = False


@dataclasses.dataclass
class Timing:
    """Seconds of a program: its first call, and the median of each turn."""

    first_call: float
    turns: list = dataclasses.field(default_factory=list)

    @property
    def median(self):
        return statistics.median(self.turns)


def print_unsteady(timings, factor=1.5):
    """Name the programs whose turns differ by more than `factor`.

    The cause is other load on the machine, which slows programs down unequally. PyTorch
    can become a hundred times slower, since its threads wait for one another at each
    operation. The ratios of such a run mean little.
    """
    for name, timing in timings.items():
        fastest, slowest = min(timing.turns), max(timing.turns)
        if slowest > factor * fastest:
            label = name if isinstance(name, str) else " ".join(map(str, name))
            print(
                f"Unsteady: {label} took from {number(1000 * fastest)} to "
                f"{number(1000 * slowest)} ms",
                flush=True,
            )


def timed(run):
    """Return seconds and result of one call, including the wait for its outputs."""
    start = time.perf_counter()
    result = run()
    for output in tf.nest.flatten(result):
        as_array(output)
    return time.perf_counter() - start, result


def as_array(output):
    """Return a tensor of TensorFlow or PyTorch as a NumPy array."""
    return np.asarray(output.detach().cpu() if hasattr(output, "detach") else output)


def time_programs(programs, rounds, slow_rounds=None, turn_seconds=0.2, seed=0):
    """Time programs in turns, in a random order per round.

    Each program is called once to compile it. In each round it has one turn: an
    uncounted call to warm the caches, then one or more calls until `turn_seconds` have
    passed.

    Args:
        programs: Dict of `Program` by name.
        rounds: Number of rounds.
        slow_rounds: Number of rounds in which slow programs take part; all by default.
        turn_seconds: Length of a turn.
        seed: Seed of the order.

    Returns:
        Dict of `Timing` by name, and dict of the results of the first calls by name.
    """
    timings, results = {}, {}
    for name, program in programs.items():
        seconds, results[name] = timed(program.run)
        timings[name] = Timing(seconds)
    order = random.Random(seed)
    for index in range(rounds):
        names = list(programs)
        order.shuffle(names)
        for name in names:
            program = programs[name]
            if program.slow and index >= (slow_rounds or rounds):
                continue
            if not program.slow:
                timed(program.run)
            calls = [timed(program.run)[0]]
            while sum(calls) < turn_seconds and not program.slow:
                calls.append(timed(program.run)[0])
            timings[name].turns.append(statistics.median(calls) * program.scale)
    return timings, results


@dataclasses.dataclass(frozen=True)
class Target:
    """A bound on a ratio."""

    sign: str
    bound: float

    def __str__(self):
        return f"{self.sign} {self.bound:g}"

    def met(self, ratio):
        return ratio >= self.bound if self.sign == "≥" else ratio <= self.bound


def at_least(bound):
    return Target("≥", bound)


def at_most(bound):
    return Target("≤", bound)


@dataclasses.dataclass
class Row:
    """A row of the table; columns that do not apply are None.

    `ratio` is for programs without XLA, `xla_ratio` for programs with XLA.
    """

    program: str
    size: str
    seconds: float | None = None
    ratio: float | None = None
    target: Target | None = None
    xla_ratio: float | None = None
    xla_target: Target | None = None
    note: str = ""


def number(value):
    """Format a number with three significant digits and no exponent."""
    if value is None:
        return ""
    digits = max(0, 2 - int(np.floor(np.log10(value)))) if value > 0 else 0
    return f"{value:,.{min(digits, 4)}f}"


def bound(target, ratio):
    if target is None:
        return ""
    if ratio is None:
        return str(target)
    return f"{target}" if target.met(ratio) else f"{target} missed"


def print_table(title, rows, unit="ms"):
    """Print rows as a Markdown table, medians in `unit`, milliseconds or seconds."""
    factor = {"ms": 1000, "s": 1}[unit]
    print(f"\n### {title}\n")
    columns = ["program", "size", f"median, {unit}", "ratio", "target"]
    columns += ["ratio with XLA", "target"]
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    notes = []
    for row in rows:
        program = row.program
        if row.note:
            if row.note not in notes:
                notes.append(row.note)
            program += f" [{notes.index(row.note) + 1}]"
        cells = [
            program,
            row.size,
            number(None if row.seconds is None else row.seconds * factor),
            number(row.ratio),
            bound(row.target, row.ratio),
            number(row.xla_ratio),
            bound(row.xla_target, row.xla_ratio),
        ]
        print("| " + " | ".join(cells) + " |")
    if notes:
        print()
    for index, note in enumerate(notes):
        print(f"[{index + 1}] {note}")
    sys.stdout.flush()


def installed(package):
    """Return whether an optional peer can be imported."""
    return importlib.util.find_spec(package) is not None


def environment():
    """Return the machine and the versions, as context for the timings."""
    versions = {"python": platform.python_version()}
    for package in ("tensorflow", "keras", "tensorflow-probability", "torch"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "cpus": os.cpu_count(),
        "cpu": _cpu_name(),
        "load_average": round(os.getloadavg()[0], 2)
        if hasattr(os, "getloadavg")
        else None,
        "versions": versions,
    }


def _cpu_name():
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":")[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def print_header(name):
    """Print the machine and the versions; return them."""
    # TensorFlow warns of repeated tracing, since each program is a new `tf.function`.
    tf.get_logger().setLevel("ERROR")
    machine = environment()
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    print(
        f"{name}: {machine['cpus']} CPUs ({machine['cpu']}), load average "
        f"{machine['load_average']} at the start; {versions}",
        flush=True,
    )
    return machine


def parser(description, rounds):
    """Return a parser with the options shared by all benchmarks."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument(
        "--quick", action="store_true", help="tiny sizes, to see that the script runs"
    )
    arguments.add_argument(
        "--rounds", type=int, help=f"rounds of interleaved calls, by default {rounds}"
    )
    arguments.add_argument("--json", metavar="PATH", help="file to write the rows to")
    return arguments


def write_json(path, machine, options, tables):
    """Write the rows of all tables, ratios and targets as numbers."""

    def plain(row):
        row = dataclasses.asdict(row)
        for key in ("target", "xla_target"):
            if row[key] is not None:
                row[key] = f"{row[key]['sign']} {row[key]['bound']:g}"
        return row

    content = {
        "machine": {
            **machine,
            "load_average_at_the_end": round(os.getloadavg()[0], 2)
            if hasattr(os, "getloadavg")
            else None,
        },
        "options": {k: v for k, v in options.items() if k not in ("json", "timing")},
        "tables": {title: [plain(row) for row in rows] for title, rows in tables},
    }
    with open(path, "w") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.write("\n")
