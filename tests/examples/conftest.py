import runpy
import sys

import pytest

from tests.subprocesses import ROOT


@pytest.fixture
def run_example(monkeypatch, capsys):
    """Return a function that runs a command in this process, to save the imports."""

    def run(command, *options):
        folder = ROOT / "examples"
        name, *given = command.split()
        monkeypatch.setattr(sys, "argv", [name, *given, *map(str, options)])
        monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
        capsys.readouterr()
        runpy.run_path(str(folder / name), run_name="__main__")
        return capsys.readouterr().out

    return run
