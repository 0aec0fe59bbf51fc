import contextlib
import io
import runpy
import sys

import pytest

from tests.subprocesses import ROOT


@pytest.fixture(scope="session")
def run_example():
    """Return a function that runs a command in this process, to save the imports.

    It returns what the command prints.
    """

    def run(command, *options):
        folder = ROOT / "examples"
        name, *given = command.split()
        printed = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
            patch.setattr(sys, "argv", [name, *given, *map(str, options)])
            patch.setattr(sys, "path", [str(folder), *sys.path])
            runpy.run_path(str(folder / name), run_name="__main__")
        return printed.getvalue()

    return run
