"""Running Python code in a new process."""

import json
import multiprocessing
import os
import pathlib
import socket
import subprocess
import sys
from unittest import mock

import pytest

ROOT = pathlib.Path(__file__).parent.parent
SOURCES = os.pathsep.join([str(ROOT), str(ROOT / "export")])  # A PYTHONPATH.

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.callbacks.worker"])


def run_python(*arguments, timeout=300, cwd=ROOT, input=None, **environment):
    """Run Python with `arguments`; return its output, or fail and show it."""
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONPATH": SOURCES,
        **environment,
    }
    finished = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        input=input,
        env=environment,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def start_forked(function, *arguments, output, **environment):
    """Start a process that calls a function; return its `multiprocessing.Process`.

    A server that has imported what trains models, and has used none of it, forks the
    process, which saves the seconds of the imports. The function must be one of a
    module, and its arguments are pickled. All that it prints goes to the file `output`.
    The variables of `environment` are read after the imports.
    """
    process = _FORKS.Process(
        target=_call, args=(function, arguments, str(output), environment)
    )
    # The server reads it when it starts; `pythonpath` of pytest does not reach it.
    with mock.patch.dict(os.environ, PYTHONPATH=SOURCES, TF_CPP_MIN_LOG_LEVEL="2"):
        process.start()
    return process


def worker_environments(count):
    """Return the variables of the environment of `count` workers of one cluster."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    cluster = {"worker": addresses}
    tasks = [{"type": "worker", "index": index} for index in range(count)]
    return [
        {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks
    ]


def _call(function, arguments, output, environment):
    os.environ.update(environment)
    with open(output, "w") as opened:
        os.dup2(opened.fileno(), sys.stdout.fileno())
        os.dup2(opened.fileno(), sys.stderr.fileno())
    function(*arguments)
    sys.stdout.flush()


def run_forked(function, *arguments, output, timeout=300, **environment):
    """Call a function as `start_forked` does; return what it prints, or fail."""
    process = start_forked(function, *arguments, output=output, **environment)
    process.join(timeout)
    printed = pathlib.Path(output).read_text()
    if process.is_alive():
        process.kill()
        pytest.fail(f"{function} takes more than {timeout} s. It printed: {printed}")
    assert process.exitcode == 0, printed
    return printed
