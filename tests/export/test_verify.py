import pathlib
import subprocess
import sys

from tests.serving import planted
from tests.subprocesses import ROOT, run_python

SCRIPT = pathlib.Path(ROOT, "export", "verify.py")


def refused(path):
    """Return how the script ended on a directory that must not be served."""
    finished = subprocess.run(
        [sys.executable, SCRIPT, path],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert finished.returncode == 1
    return finished


def test_a_model_that_can_be_served(tmp_path):
    planted.save(tmp_path / "model", {"sound": (planted.sound, [planted.SEED])})
    printed = run_python(SCRIPT, tmp_path / "model").splitlines()
    assert all(line.startswith("pass  ") for line in printed[:-1])
    assert printed[-1] == f"{tmp_path / 'model'} can be served"


def test_one_that_must_not(tmp_path):
    model = {"calls_python": (planted.calls_python, [planted.SEED])}
    planted.save(tmp_path / "model", model)
    finished = refused(tmp_path / "model")
    assert "FAIL  graph: the op EagerPyFunc of calls_python" in finished.stdout
    assert finished.stdout.endswith("must not be served\n")
    assert "Traceback" not in finished.stderr


def test_no_saved_model(tmp_path):
    finished = refused(tmp_path / "nowhere")
    assert "FAIL  files: FileNotFoundError" in finished.stdout
