import pathlib
import runpy
import subprocess
import sys

import pytest

from tests.serving import planted
from tests.subprocesses import ROOT

pytestmark = pytest.mark.slow

SCRIPT = pathlib.Path(ROOT, "export", "verify.py")


@pytest.fixture
def command(monkeypatch):
    """Return a function that runs the script here; it returns the exit code."""

    def run(path):
        monkeypatch.setattr(sys, "argv", ["verify.py", str(path)])
        monkeypatch.syspath_prepend(SCRIPT.parent)
        return runpy.run_path(str(SCRIPT), run_name="verify")["main"]()

    return run


def test_a_model_that_can_be_served(command, tmp_path, capsys):
    planted.save(tmp_path / "model", {"sound": (planted.sound, [planted.SEED])})
    assert command(tmp_path / "model") == 0
    printed = capsys.readouterr().out.splitlines()
    assert all(line.startswith("pass  ") for line in printed[:-1])
    assert printed[-1] == f"{tmp_path / 'model'} can be served"


def test_one_that_must_not(tmp_path):
    model = {"calls_python": (planted.calls_python, [planted.SEED])}
    planted.save(tmp_path / "model", model)
    finished = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "model"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert finished.returncode == 1
    assert "FAIL  graph: calls_python needs more" in finished.stdout
    assert finished.stdout.endswith("must not be served\n")
    assert "Traceback" not in finished.stderr


def test_no_saved_model(command, tmp_path, capsys):
    assert command(tmp_path / "nowhere") == 1
    assert "FAIL  files: FileNotFoundError" in capsys.readouterr().out
