"""The embedded server in a separate process."""

import concurrent.futures
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from tests.export.blocked import block
from tests.subprocesses import ROOT

requests = pytest.importorskip("requests", reason='needs the extra "serving"')
for name in ("fastapi", "uvicorn"):
    pytest.importorskip(name, reason='needs the extra "serving"')


class RunningServer:
    """`python export/serve.py` where Keras and this library cannot be imported."""

    def __init__(self, directory, *arguments):
        block(directory)
        self._log = directory / "log.txt"
        environment = {**os.environ, "PYTHONPATH": str(directory)}
        command = [sys.executable, str(ROOT / "export" / "serve.py"), "--port", "0"]
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [*command, *map(str, arguments)],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=environment,
            )
        found = wait_until(
            lambda: (
                self.process.poll() is not None
                or re.search(r"running on (http://\S+)", self.log)
            ),
            seconds=60,
        )
        assert found is not True, self.log
        self.address = found[1]
        self.session = requests.Session()
        self.measured = psutil.Process(self.process.pid)

    @property
    def log(self):
        return self._log.read_text()

    @property
    def memory(self):
        """Bytes that the process holds in memory."""
        return self.measured.memory_info().rss

    @property
    def cpu_seconds(self):
        """CPU time that the process has used."""
        times = self.measured.cpu_times()
        return times.user + times.system

    def get(self, path):
        return self.session.get(self.address + path, timeout=60)

    def post(self, path, body):
        """Send `body`: bytes unchanged, anything else as JSON."""
        kind = "data" if isinstance(body, (bytes, str)) else "json"
        url = f"{self.address}/v1/models/{path}"
        return self.session.post(url, **{kind: body}, timeout=60)

    def predict(self, path, **body):
        """Send a predict request, which must succeed; return the reply."""
        answer = self.post(f"{path}:predict", body)
        assert answer.status_code == 200, answer.text
        (reply,) = answer.json().values()
        return reply


@contextlib.contextmanager
def running(directory, *arguments):
    server = RunningServer(directory, *arguments)
    try:
        yield server
    finally:
        server.session.close()
        server.process.terminate()
        try:
            server.process.wait(timeout=30)
        finally:
            server.process.kill()


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
