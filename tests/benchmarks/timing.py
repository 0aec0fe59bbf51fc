"""The harness of the benchmarks: programs in turns, medians, ratios and tables."""

import argparse
import concurrent.futures
import dataclasses
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import pathlib
import platform
import random
import re
import statistics
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

OURS, XLA = "keras_genimg", ", XLA"
NOTE = "Ratios of the time to that of keras_genimg, without and with XLA."


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


def time_programs(programs, rounds, slow_rounds=None, turn_seconds=0.2):
    """Time programs in turns, in a random order per round.

    Each program is called once to compile it. In each round it has one turn: an
    uncounted call to warm the caches, then one or more calls until `turn_seconds` have
    passed. Slow programs take part in the first `slow_rounds`, by default in all.

    Returns:
        Dict of `Timing` by name, and dict of the results of the first calls by name.
    """
    timings, results = {}, {}
    programs = {
        name: program if isinstance(program, Program) else Program(program)
        for name, program in programs.items()
    }
    for name, program in programs.items():
        seconds, results[name] = timed(program.run)
        timings[name] = Timing(seconds)
    order = random.Random(0)
    for index in range(rounds):
        for name, program in order.sample(list(programs.items()), len(programs)):
            if program.slow and index >= (slow_rounds or rounds):
                continue
            if not program.slow:
                timed(program.run)
            calls = [timed(program.run)[0]]
            while sum(calls) < turn_seconds and not program.slow:
                calls.append(timed(program.run)[0])
            timings[name].turns.append(statistics.median(calls) * program.scale)
    return timings, results


def print_unsteady(timings, factor=1.5):
    """Name the programs whose turns differ by more than `factor`.

    The cause is other load on the machine, which slows programs down unequally, PyTorch
    up to a hundred times. The ratios of such a run mean little.
    """
    for name, timing in timings.items():
        fastest, slowest = (number(1000 * f(timing.turns)) for f in (min, max))
        if max(timing.turns) > factor * min(timing.turns):
            print(f"Unsteady: {name} took from {fastest} to {slowest} ms", flush=True)


def binary_images(batch, side):
    """Return random square images of zeros and ones."""
    images = np.random.default_rng(0).integers(0, 2, (batch, side, side, 1))
    return images.astype("float32")


def check_agreement(results, tolerance):
    """Fail unless all programs gave the same outputs and the same gradients.

    Args:
        results: Dict by name of outputs and a dict of gradients.
        tolerance: Largest difference, relative to the largest number of its tensor.
    """
    outputs, gradients = results[OURS]
    ours, worst = {"outputs": outputs, **gradients}, 0.0
    for name, (outputs, gradients) in results.items():
        for key, value in {"outputs": outputs, **gradients}.items():
            expected = as_array(ours[key])
            difference = abs(as_array(value) - expected).max() / abs(expected).max()
            if not difference < tolerance:
                raise AssertionError(
                    f"{name} disagrees with {OURS} on {key}: they differ by "
                    f"{difference:.2g} of the largest number, more than {tolerance}"
                )
            worst = max(worst, difference)
    print(f"{len(results)} programs agree to {worst:.1g}", flush=True)


def gradient_step(compute, sources, projection=None, jit_compile=False):
    """Return an untraced `tf.function` that returns `compute()` and its gradients.

    Args:
        compute: Function without arguments, such as a loss.
        sources: Dict of the variables that the gradients are with respect to.
        projection: Array that the outputs are multiplied with, if they are no scalar.
        jit_compile: Whether to compile with XLA.
    """

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step():
        with tf.GradientTape() as tape:
            outputs = compute()
        return outputs, tape.gradient(outputs, sources, output_gradients=projection)

    return step


def compared(timings, size):
    """Return rows that compare programs with ours, without and with XLA.

    If a program ran with several numbers of threads, its fastest run is shown.
    """
    fastest = {}
    for name, timing in timings.items():
        program = name.partition(", threads")[0]
        if program not in fastest or timing.median < timings[fastest[program]].median:
            fastest[program] = name
    rows = []
    for name in fastest.values():
        timing = timings[name]
        row = {"program": name, "size": size, "ms": 1000 * timing.median}
        for suffix in ("", XLA):
            if ours := timings.get(OURS + suffix):
                ratio = timing.median / ours.median
                row[f"ratio{suffix}"] = None if timing is ours else ratio
        rows.append(row)
    return rows


def number(value):
    """Format a number with three significant digits and no exponent."""
    digits = max(0, 2 - int(np.floor(np.log10(abs(value))))) if value else 0
    return f"{value:,.{min(digits, 4)}f}"


def cell(value):
    """Return the text of a table's cell."""
    if isinstance(value, int):
        return f"{value:,}"
    return number(value) if isinstance(value, float) else value or ""


def in_new_process(function, *arguments):
    """Return what a function of a module returns in a new process."""
    spawning = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawning) as process:
        return process.submit(function, *arguments).result()


def installed(package):
    return importlib.util.find_spec(package) is not None


def machine():
    """Return the machine and the versions, as context for the timings."""
    packages = ("tensorflow", "keras", "tensorflow-probability", "torch")
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    names = re.findall(
        "model name.*: (.*)", cpuinfo.read_text() if cpuinfo.exists() else ""
    )
    return {
        "CPUs": os.cpu_count(),
        "CPU": names[0] if names else platform.machine(),
        "load average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{
            name: importlib.metadata.version(name)
            for name in packages
            if installed(name.replace("-", "_"))
        },
    }


class Benchmark:
    """The command line, the timings and the tables of a script.

    With `--quick`, programs take one turn of a call.

    Args:
        doc: Docstring of the script.
        rounds: Number of rounds without `--quick`.

    Attributes:
        parser: Takes further options, before `start`.
        options: The options, after it.
    """

    def __init__(self, doc, rounds=7):
        self.rounds, self.tables = rounds, {}
        self.parser = argparse.ArgumentParser(description=str(doc).partition("\n")[0])
        add = self.parser.add_argument
        add("--quick", action="store_true", help="tiny sizes, to see that it runs")
        add("--rounds", type=int, help=f"rounds of turns, by default {rounds}")
        add("--json", metavar="PATH", help="file to write the rows to")

    def add_choice(self, option, names):
        """Add an option that takes several of `names`, all by default."""
        names = list(names)
        self.parser.add_argument(option, nargs="+", choices=names, default=names)

    def start(self):
        """Parse the command line and print the machine; return the options."""
        self.options = options = self.parser.parse_args()
        options.rounds = options.rounds or (1 if options.quick else self.rounds)
        # TensorFlow warns of repeated tracing, as each program is a new `tf.function`.
        tf.get_logger().setLevel("ERROR")
        self.machine = machine()
        print(", ".join(f"{key} {value}" for key, value in self.machine.items()))
        if not installed("torch"):
            print("PyTorch is not installed: its programs need the extra `benchmarks`.")
        return options

    def time(self, programs, slow_rounds=None):
        """Time programs as `time_programs` does, and print what tables do not show."""
        rounds, turn_seconds = self.options.rounds, 0 if self.options.quick else 0.2
        timings, results = time_programs(programs, rounds, slow_rounds, turn_seconds)
        first = ", ".join(f"{k} {t.first_call:.1f} s" for k, t in timings.items())
        print(f"First calls: {first}", flush=True)
        print_unsteady(timings)
        return timings, results

    def table(self, title, rows, note=""):
        """Print dicts as a Markdown table without empty columns; write all as JSON."""
        columns = dict.fromkeys(key for row in rows for key in row)
        columns = [k for k in columns if any(r.get(k) is not None for r in rows)]
        print(f"\n### {title}\n\n| " + " | ".join(columns) + " |")
        print("|" + "---|" * len(columns))
        for row in rows:
            print("| " + " | ".join(cell(row.get(key)) for key in columns) + " |")
        print(f"\n{note}", flush=True)
        self.tables[title] = rows
        if self.options.json:
            content = {"machine": self.machine, "options": vars(self.options)}
            text = json.dumps({**content, "tables": self.tables}, indent=1)
            pathlib.Path(self.options.json).write_text(text + "\n")
