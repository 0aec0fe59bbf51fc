"""A map from each line of the library to the tests that run it.

The map is a folder with the file that coverage.py writes, the seconds of each test, and
the commit that was tested. This file is also the pytest plugin that notes the seconds.
"""

import ast
import collections
import json
import pathlib
import subprocess
import sys

import coverage

# Exit codes of pytest.
OK, TESTS_FAILED = 0, 1
COVERAGE, SECONDS, COMMIT = "coverage.sqlite", "seconds.json", "commit.txt"
CONFIG = """[run]
source = keras_genimg, genimg_export
relative_files = true
"""


def commit_of(checkout):
    """Return the commit that `checkout`, a `pathlib.Path`, has checked out."""
    head = ["git", "rev-parse", "HEAD"]
    return subprocess.check_output(head, cwd=checkout, text=True).strip()


def make_map(checkout, folder, tests):
    """Run tests in `checkout` under coverage, and write the map to `folder`.

    Args:
        checkout: A `pathlib.Path`.
        folder: A `pathlib.Path`, made if there is none.
        tests: Further arguments of pytest, such as test files.

    A test that fails is not in the map, since it cannot judge a mutant.

    Raises:
        RuntimeError: If the tests could not be run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "coveragerc"
    config.write_text(CONFIG + f"data_file = {folder / COVERAGE}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "tests.mutation.coverage_map", f"--seconds-of-tests={folder}"]
    command += ["--cov", f"--cov-config={config}", "--cov-context=test"]
    command += ["--cov-report=", *tests]
    if subprocess.run(command, cwd=checkout).returncode not in (OK, TESTS_FAILED):
        raise RuntimeError("The tests could not be run, see above.")
    (folder / COMMIT).write_text(commit_of(checkout))


class CoverageMap:
    """Finds the tests of a line.

    Args:
        folder: A `pathlib.Path` that `make_map` wrote.
    """

    def __init__(self, folder):
        self._data = coverage.CoverageData(basename=str(folder / COVERAGE))
        self._data.read()
        self._seconds = json.loads((folder / SECONDS).read_text())
        self.commit = (folder / COMMIT).read_text()

    def tests_of(self, path, line, source):
        """Return the tests that run a line, those of its own room first.

        A line that only the import runs, such as a default argument, has the tests of
        the smallest statement around it that tests run.

        Args:
            path: Path of the file in the checkout, with slashes.
            line: Number of the line, from 1.
            source: The file's text.

        Returns:
            Dict of seconds by test, the fastest first in either part.
        """
        contexts = self._data.contexts_by_lineno(path)
        room = f"tests/{pathlib.PurePosixPath(path).parent.name}/"
        for first, last in enclosing(source, line):
            found = set()
            for number in range(first, last + 1):
                found |= {context.split("|")[0] for context in contexts.get(number, ())}
            known = {test: self._seconds[test] for test in found & self._seconds.keys()}
            if known:
                return dict(
                    sorted(
                        known.items(),
                        key=lambda item: (not item[0].startswith(room), item[1]),
                    )
                )
        return {}


def enclosing(source, line):
    """Return `(first, last)` lines of what is around a line, the smallest first.

    Args:
        source: Text of a Python file.
        line: Number of a line, from 1.
    """
    around = [(1, len(source.splitlines()))]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(each.lineno for each in decorators)])
            if first <= line <= node.end_lineno:
                around.append((first, node.end_lineno))
    return sorted({(line, line), *around}, key=lambda lines: lines[1] - lines[0])


def pytest_addoption(parser):
    parser.addoption("--seconds-of-tests", type=pathlib.Path)


class _Seconds:
    """Adds up what setup, call and teardown of each passed test take."""

    def __init__(self, folder):
        self._folder = folder
        self._seconds = collections.Counter()
        self._others = set()

    def pytest_runtest_logreport(self, report):
        self._seconds[report.nodeid] += report.duration
        if not report.passed:
            self._others.add(report.nodeid)

    def pytest_sessionfinish(self):
        passed = {
            test: seconds
            for test, seconds in self._seconds.items()
            if test not in self._others
        }
        (self._folder / SECONDS).write_text(json.dumps(passed))


def pytest_configure(config):
    folder = config.getoption("--seconds-of-tests")
    # Workers report to the first process, and only that one writes.
    if folder and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Seconds(folder))
