"""Memory of training steps of DRAW, each measured in a new process."""

import dataclasses
import gc
import json

import tensorflow as tf

from tests.benchmarks.draw_programs import (
    MNIST,
    TINY,
    UNROLLED,
    XLA,
    our_step,
    random_loop,
    unrolled_step,
)
from tests.benchmarks.timing import Row, at_most, timed
from tests.subprocesses import run_python


def print_peak(glimpses, kind, quick):
    """Print the seconds and the bytes that a step takes, as JSON.

    Must run in a new process. A step of few glimpses runs first, so that one-time costs
    are not counted.
    """
    setting = dataclasses.replace(TINY if quick else MNIST, glimpses=glimpses)
    for count in (2, glimpses):
        loop, images, noise = random_loop(dataclasses.replace(setting, glimpses=count))
        tensors = tf.constant(images), tf.constant(noise)
        if kind == UNROLLED:
            step = unrolled_step(loop, setting)
        else:
            step = our_step(loop, *tensors, XLA in kind)
        step.get_concrete_function(*tensors)
        gc.collect()
        with open("/proc/self/clear_refs", "w") as opened:
            opened.write("5")  # Reset the peak to the current memory.
        before = peak_bytes()
        seconds, _ = timed(lambda: step(*tensors))  # noqa: B023
    print(json.dumps({"seconds": seconds, "bytes": peak_bytes() - before}))


def peak_bytes():
    """Return the peak memory of the process in bytes; Linux only."""
    with open("/proc/self/status") as opened:
        for line in opened:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


def memory_rows(kinds, glimpses, quick):
    """Return table rows of the memory of a step, by number of glimpses."""
    rows = []
    for kind in kinds:
        taken = []
        for count in glimpses:
            call = f"print_peak({count}, {kind!r}, {quick})"
            code = f"from tests.benchmarks.draw_memory import print_peak; {call}"
            output = json.loads(run_python("-c", code).splitlines()[-1])
            taken.append(output["bytes"])
            row = Row(
                kind,
                f"{count} glimpses: {output['bytes'] / 2**20:,.0f} MiB",
                output["seconds"],
                note="Growth of the process's peak memory, and its ratio to that of "
                "half as many glimpses; the time is that of the first step.",
            )
            rows.append(row)
            if len(taken) < 2 or quick:
                continue
            ratio = taken[-1] / taken[-2]
            if XLA in kind:
                row.xla_ratio, row.xla_target = ratio, at_most(2.2)
            else:
                row.ratio, row.target = ratio, at_most(2.2)
    return rows
