"""An HTTP proxy that fails as proxies, networks and servers do."""

import contextlib
import http.server
import json
import time
from concurrent.futures import ThreadPoolExecutor

import requests


class FlakyProxy(http.server.ThreadingHTTPServer):
    """Passes requests on to `target`, after the faults that were planted.

    Attributes:
        faults: What to do with the next POST requests: an HTTP status to answer with,
            `"close"` to end the connection, `"stall"` to answer nothing after some
            seconds, `"no JSON"` to answer as some other server.
        gets, posts: Number of requests received, by method.
        headers: Names of the headers of each request that was passed on.
        address: Such as `http://127.0.0.1:12345`.
    """

    daemon_threads = True

    def __init__(self, target):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.faults, self.gets, self.posts = target, [], 0, 0
        self.headers = []
        self.address = f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.gets += 1
        self._pass_on()

    def do_POST(self):
        self.server.posts += 1
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.faults.pop(0) if self.server.faults else None
        if fault is None:
            self._pass_on(body)
        elif fault == "close":
            self.close_connection = True
        elif fault == "stall":
            time.sleep(4)
        elif fault == "no JSON":
            self._answer(200, b"<html>Welcome</html>")
        else:
            text = json.dumps({"error": "a planted fault\n\t [[and its node]]"})
            self._answer(fault, text.encode())

    def _pass_on(self, body=None):
        url = self.server.target + self.path
        self.server.headers.append({name.lower() for name in self.headers})
        answer = requests.request(self.command, url, data=body, timeout=60)
        self._answer(answer.status_code, answer.content)

    def _answer(self, status, content):
        self.send_response(status)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        """Keep silent."""


@contextlib.contextmanager
def flaky_proxy(target):
    """Run a `FlakyProxy` and yield it."""
    with FlakyProxy(target) as proxy, ThreadPoolExecutor() as pool:
        pool.submit(proxy.serve_forever, 0.05)
        try:
            yield proxy
        finally:
            proxy.shutdown()
