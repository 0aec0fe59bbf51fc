import pytest

from export import verify as command
from tests.serving import planted

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "function, code, last, told",
    [
        (planted.sound, 0, "can be served", "pass  Python"),
        (planted.calls_python, 1, "must not be served", "FAIL  graph: calls_python"),
        (None, 1, "must not be served", "FAIL  files: FileNotFoundError"),
    ],
)
def test_exit_code_and_verdict(function, code, last, told, tmp_path, run_command):
    path = tmp_path / "model"
    if function:
        planted.save(path, {function.__name__: (function, [planted.SEED])})
    printed, _ = run_command(command, path, code=code)
    assert told in printed
    assert printed.endswith(f"{path} {last}\n")
