"""The embedded server in a separate process."""

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.export.blocked import block

requests = pytest.importorskip("requests", reason='needs the extra "serving"')
for name in ("fastapi", "uvicorn"):
    pytest.importorskip(name, reason='needs the extra "serving"')


@contextlib.contextmanager
def started(command, log, ready, seconds=60, **options):
    """Run a command that prints to a file; give its process once it is ready."""
    with open(log, "wb") as opened:
        process = subprocess.Popen(
            [*map(str, command)], stdout=opened, stderr=subprocess.STDOUT, **options
        )
    try:
        wait_until(lambda: process.poll() is not None or ready(), seconds)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        finally:
            process.kill()


@dataclasses.dataclass
class RunningServer:
    """A process of `genimg-serve`, and how to talk with it."""

    process: subprocess.Popen
    log_file: pathlib.Path
    address: str
    session: requests.Session

    @property
    def log(self):
        return self.log_file.read_text()

    def get(self, path):
        return self.session.get(self.address + path, timeout=150)

    def post(self, path, body):
        """Send `body`: bytes unchanged, anything else as JSON."""
        kind = "data" if isinstance(body, (bytes, str)) else "json"
        url = f"{self.address}/v1/models/{path}"
        return self.session.post(url, **{kind: body}, timeout=150)

    def predict(self, path, **body):
        """Send a predict request, which must succeed; return the reply."""
        answer = self.post(f"{path}:predict", body)
        assert answer.status_code == 200, answer.text
        (reply,) = answer.json().values()
        return reply


@contextlib.contextmanager
def running(directory, *arguments, warm_up=False):
    """Run the server where Keras and this library cannot be imported."""
    path = block(directory)
    log = directory / "log.txt"
    command = [sys.executable, "-m", "genimg_export.serve", "--port", 0, *arguments]
    if not warm_up:  # It takes longer than the first requests of a test.
        command.append("--no-warm-up")
    options = {"cwd": directory, "env": {**os.environ, "PYTHONPATH": path}}

    def address():
        return re.search(r"running on (http://\S+)", log.read_text())

    with (
        started(command, log, address, 300, **options) as process,
        requests.Session() as session,
    ):
        yield RunningServer(process, log, address()[1], session)


def send_as_is(method, address, path):
    """Send a request for a path that `requests` would tidy up."""
    request = requests.Request(method, address).prepare()
    request.url = address + path
    with requests.Session() as session:
        return session.send(request, timeout=60)


@contextlib.contextmanager
def calling(function, threads=1):
    """Call a function without pause, and give the list of what it has returned.

    At the end, an error of the function is raised.
    """
    results, stop = [], threading.Event()

    def keep_calling():
        while not stop.is_set():
            results.append(function())

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(keep_calling) for _ in range(threads)]
        try:
            yield results
        finally:
            stop.set()
    for future in running:
        future.result()


def free_port():
    """Return a port of this machine where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def listens(port):
    """Return whether something listens on a port of this machine."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition, seconds=30):
    """Wait until `condition()` is true and return it; fail after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not so within {seconds} s")
