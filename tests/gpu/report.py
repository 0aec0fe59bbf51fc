"""One page on a GPU: whether it computes what the CPU does, and how fast it is.

    python -m tests.gpu.report

Runs the tests of this folder and the benchmark of a GPU, each in a process of its own,
and writes `outputs/gpu.md`. Whoever has a card for a few minutes can send that page.
With `--rehearse`, both run on the CPU, to see that the command runs.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree

import tensorflow as tf

from genimg_export.files import write_bytes
from tests.subprocesses import ROOT, SOURCES


def gpu_names():
    """Return the names of the GPUs that TensorFlow sees."""
    gpus = tf.config.list_physical_devices("GPU")
    details = map(tf.config.experimental.get_device_details, gpus)
    return [detail.get("device_name", "unknown") for detail in details]


def run(*arguments, **environment):
    """Run Python, show what it prints, and return that, its exit status and seconds."""
    environment = {
        **os.environ,
        "PYTHONPATH": SOURCES,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **environment,
    }
    start, lines = time.perf_counter(), []
    command = [sys.executable, *map(str, arguments)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return "".join(lines), process.returncode, time.perf_counter() - start


def table_of_tests(path):
    """Return rows of a Markdown table, and the failures, from pytest's JUnit file."""
    rows, failures = {}, []
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        row = rows.setdefault(
            case.get("classname"), {"passed": 0, "failed": 0, "skipped": 0}
        )
        problem = next((x for x in case if x.tag in ("failure", "error")), None)
        if problem is not None:
            row["failed"] += 1
            message = str(problem.get("message")).splitlines()[0]
            failures.append(f"- `{case.get('name')}`: {message}")
        else:
            row["skipped" if case.find("skipped") is not None else "passed"] += 1
    lines = ["| tests | passed | failed | skipped |", "|---|---|---|---|"]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['passed']} | {row['failed']} | {row['skipped']} |"
        )
    return lines, failures


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rehearse", action="store_true", help="run on the CPU")
    parser.add_argument("--output", type=pathlib.Path, default="outputs/gpu.md")
    parser.add_argument(
        "--tests", nargs="+", default=["tests/gpu"], help="tests to run, by default all"
    )
    options = parser.parse_args()
    names = gpu_names()
    if not names and not options.rehearse:
        sys.exit(
            "no GPU: TensorFlow sees none, so there is nothing to report. To see that "
            "the command runs, add --rehearse."
        )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    results = options.output.with_suffix(".xml").resolve()
    on_the_cpu = {"GPU_TESTS_ON": "CPU", "CUDA_VISIBLE_DEVICES": "-1"}
    place = on_the_cpu if options.rehearse else {}

    arguments = "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", results
    _, failed, seconds = run(*arguments, *options.tests, **place)
    rows, failures = table_of_tests(results)
    results.unlink()
    quick = ["--quick", "--skip-compiled"] if options.rehearse else []
    tables, broken, benchmark_seconds = run(
        "-m", "tests.benchmarks.gpu", *quick, **place
    )

    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.strip()
    built = tf.sysconfig.get_build_info()
    versions = f"CUDA {built.get('cuda_version')}, cuDNN {built.get('cudnn_version')}"
    device = "the CPU, a rehearsal" if options.rehearse else ", ".join(names)
    page = [
        f"# {device}",
        "",
        f"Commit {commit or 'unknown'}; TensorFlow {tf.__version__}, for {versions}.",
        "",
        f"## Against the CPU, {seconds:.0f} s",
        "",
        *rows,
        "",
        *(failures or ["No test failed."]),
        "",
        f"## Times, {benchmark_seconds:.0f} s",
        "",
        f"The benchmark failed:\n\n```\n{tables[-2000:]}\n```" if broken else tables,
        "",
    ]
    write_bytes(options.output, "\n".join(page).encode())
    print(f"Wrote {options.output}")
    sys.exit(failed or broken)


if __name__ == "__main__":
    main()
