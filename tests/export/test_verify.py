import subprocess
import sys

import pytest

from tests.serving import planted
from tests.subprocesses import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "function, code, last, told",
    [
        (planted.sound, 0, "can be served", "pass  Python"),
        (planted.calls_python, 1, "must not be served", "FAIL  graph: calls_python"),
        (None, 1, "must not be served", "FAIL  files: FileNotFoundError"),
    ],
)
def test_exit_code_and_verdict(function, code, last, told, tmp_path):
    path = tmp_path / "model"
    if function:
        planted.save(path, {function.__name__: (function, [planted.SEED])})
    finished = subprocess.run(
        [sys.executable, ROOT / "export" / "verify.py", path],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert finished.returncode == code
    assert told in finished.stdout
    assert finished.stdout.endswith(f"{path} {last}\n")
    assert "Traceback" not in finished.stderr
