"""The script that starts workers, and starts all of them again when one dies."""

import os
import subprocess

import pytest

from tests.subprocesses import ROOT

SCRIPT = ROOT / "examples" / "run_workers.sh"


def test_the_worker_script_names_the_command_it_takes():
    ended = subprocess.run([SCRIPT, "2"], capture_output=True, text=True)
    assert ended.returncode == 2 and "NUM_WORKERS COMMAND" in ended.stderr


@pytest.mark.parametrize("broken, code", [(0, 0), (1, 1)])
def test_all_workers_are_started_again_when_one_dies(broken, code, tmp_path):
    """Worker 1 fails at its first start, or at each of them."""
    program = (
        'echo "$TF_CONFIG" >> "$1/$(echo "$TF_CONFIG" | grep -o "index.: [0-9]")";'
        'case "$TF_CONFIG" in *": 1"*) '
        f'if [ {broken} = 1 ] || mkdir "$1/failed" 2>/dev/null; then exit 3; fi;; esac'
    )
    ended = subprocess.run(
        [SCRIPT, "2", "bash", "-c", program, "x", tmp_path],
        env={"PATH": os.environ["PATH"], "MAX_RESTARTS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == code, ended.stderr
    assert "A worker died" in ended.stderr
    starts = (tmp_path / 'index": 1').read_text().count("cluster")
    assert starts == 2
