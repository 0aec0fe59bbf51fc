import runpy
import sys

import pytest

from tests.subprocesses import ROOT


@pytest.fixture
def run_example(monkeypatch, capsys):
    """Return a function that runs an example in this process, to save the imports."""

    def run(name, *options):
        folder = ROOT / "examples"
        monkeypatch.setattr(sys, "argv", [name, *map(str, options)])
        monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
        capsys.readouterr()
        runpy.run_path(str(folder / name), run_name="__main__")
        return capsys.readouterr().out

    return run
