"""The test command of a mutant: runs the tests that cover the changed line.

    python -m tests.mutation.covering MAP --seconds 300

It exits with 0 if the mutant survives. It finds the line by comparing the working tree
with its commit.
"""

import argparse
import pathlib
import re
import subprocess
import sys

import pytest

from tests.mutation.coverage_map import CoverageMap

_FILE = re.compile(r"^--- a/(.*)$", re.MULTILINE)
_LINES = re.compile(r"^@@ -(\d+)", re.MULTILINE)


def changed_line(checkout):
    """Return the path and the first line, in the commit, that differ from it."""
    difference = subprocess.check_output(
        ["git", "diff", "--unified=0", "--no-ext-diff"], cwd=checkout, text=True
    )
    if not difference:
        raise RuntimeError("No line differs from the commit.")
    return _FILE.search(difference)[1], int(_LINES.search(difference)[1])


def within(tests, seconds):
    """Return the first tests that take no more than `seconds` together, one at least.

    Args:
        tests: Dict of seconds by test, see `CoverageMap.tests_of`.
        seconds: Limit.
    """
    chosen, total = [], 0.0
    for test, duration in tests.items():
        total += duration
        if chosen and total > seconds:
            break
        chosen.append(test)
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("map", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=300)
    args = parser.parse_args()
    path, line = changed_line(".")
    original = ["git", "show", f"HEAD:{path}"]
    source = subprocess.check_output(original, text=True)
    tests = CoverageMap(args.map).tests_of(path, line, source)
    chosen = within(tests, args.seconds)
    print(f"{len(chosen)} of {len(tests)} tests of {path}:{line}", flush=True)
    if not chosen:
        return 0
    return pytest.main(["-q", "-x", "--no-header", "-p", "no:cacheprovider", *chosen])


if __name__ == "__main__":
    sys.exit(main())
