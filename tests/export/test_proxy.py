"""The proxy of export/tf_serving, in front of the embedded server."""

import concurrent.futures
import contextlib
import gzip
import os
import re
import shutil
import socket
import subprocess

import numpy as np
import pytest

from tests.export.flaky_proxy import flaky_proxy
from tests.export.running_server import ROOT, requests, wait_until

pytestmark = pytest.mark.slow

TF_SERVING = ROOT / "export" / "tf_serving"
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


class Nginx:
    """nginx with export/tf_serving/nginx.conf, except for paths and addresses."""

    def __init__(self, directory, target):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self._log = directory / "log.txt"
        shutil.copy(TF_SERVING / "guard.js", directory)
        text = (TF_SERVING / "nginx.conf").read_text()
        for old, new in {
            "listen 8501;": f"listen 127.0.0.1:{port};",
            "server tf-serving:8501;": f"server {target.removeprefix('http://')};",
            "access_log /dev/stdout;": "access_log off;",
        }.items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        text = re.sub(r" /tmp/", f" {directory}/", text)
        (directory / "nginx.conf").write_text(text)
        options = "daemon off;" + " user root;" * (os.geteuid() == 0)
        command = [NGINX, "-e", "stderr", "-c", directory / "nginx.conf", "-g", options]
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(lambda: self.process.poll() is not None or self._listens(port))
        if self.process.poll() is not None:
            log = self._log.read_text()
            if "ngx_http_js_module.so" in log:
                pytest.skip("needs nginx's module njs")
            raise AssertionError(log)

    @staticmethod
    def _listens(port):
        with contextlib.suppress(ConnectionError):
            socket.create_connection(("127.0.0.1", port)).close()
            return True

    def post(self, body, path="vae:predict", **headers):
        return requests.post(
            f"{self.address}/v1/models/{path}", data=body, headers=headers, timeout=60
        )


@pytest.fixture(scope="module")
def behind(server):
    """A server behind the proxy that counts the requests it receives."""
    with flaky_proxy(server.address) as started:
        yield started


@pytest.fixture(scope="module")
def nginx(behind, tmp_path_factory):
    if NGINX is None:
        pytest.skip("needs nginx")
    started = Nginx(tmp_path_factory.mktemp("nginx"), behind.address)
    yield started
    started.process.terminate()
    started.process.wait(timeout=30)


def body_of(size):
    """Return a body of a size that is a valid request except for its many examples."""
    start, end = b'{"inputs": [1', b"]}"
    return start + b",1" * ((size - len(start) - len(end)) // 2) + end


def test_requests_come_through(nginx, models):
    model = models["vae"]
    reply = nginx.post(b'{"instances": [{"seed": 3}, {"seed": 4}]}')
    expected = model.likelihood.to_display(model.generate(2, seed=3))
    np.testing.assert_array_equal(reply.json()["predictions"], expected)
    for path in ("vae/labels/stable:predict", "vae/versions/1:predict"):
        assert nginx.post(b'{"instances": [3, 4]}', path).json() == reply.json()
    for path in ("vae", "vae/versions/1", "vae/metadata", "vae/labels/stable/metadata"):
        answer = requests.get(f"{nginx.address}/v1/models/{path}", timeout=60)
        assert answer.status_code == 200, path


def test_brackets_in_strings_do_not_count(nginx):
    reply = nginx.post(b'{"signature_name": "' + b"[" * 50 + b'\\"[]", "inputs": [1]}')
    assert reply.status_code == 400
    assert "not found in signature def" in reply.json()["error"]


@pytest.mark.parametrize(
    "body, status, text",
    [
        (b"[" * 20_000, 400, "nested at most 10 deep"),
        (b'{"inputs": ' + b'{"a":' * 20_000, 400, "nested at most 10 deep"),
        (b'{"a": "\\\\", "inputs": ' + b"[" * 20_000, 400, "at most 10 deep"),
        (b'{"inputs": []}', 400, "has an empty list"),
        (b'{"inputs": {"seed": [ \r\n\t]}}', 400, "has an empty list"),
        (b'{"instances": [{"seed": 1}], "inputs": [[]]}', 400, "has an empty list"),
        (body_of(5 * 2**20), 413, "at most 4 MiB"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_refuses_what_would_end_the_server(nginx, behind, body, status, text, chunked):
    before = behind.posts
    reply = nginx.post(iter([body[:5], body[5:]]) if chunked else body)
    assert reply.status_code == status
    assert text in reply.json()["error"]
    assert behind.posts == before


def test_refuses_compressed_bodies(nginx, behind):
    """The server decompresses them, so that their brackets would not be seen."""
    before = behind.posts
    body = gzip.compress(b"[" * 20_000)
    reply = nginx.post(body, **{"Content-Encoding": "gzip"})
    assert reply.status_code == 415
    assert "compressed" in reply.json()["error"]
    assert behind.posts == before


def test_passes_the_largest_body(nginx):
    reply = nginx.post(body_of(4 * 2**20 - 1))
    assert reply.status_code in (400, 413)  # Of the server behind.
    assert "MiB; send fewer" not in reply.text


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/v1/models/vae:predict", 403),
        ("POST", "/v1/models/vae", 403),
        ("DELETE", "/v1/models/vae", 403),
        ("POST", "/v1/models/vae:classify", 404),
        ("GET", "/monitoring/prometheus/metrics", 404),
        ("GET", "/v1/models/../../etc/passwd", 404),
        ("GET", "/", 404),
    ],
)
def test_lets_nothing_else_pass(nginx, method, path, status):
    session = requests.Session()
    request = requests.Request(method, nginx.address).prepare()
    request.url = nginx.address + path  # With its dots.
    with session:
        reply = session.send(request, timeout=60)
    assert reply.status_code == status
    assert "error" in reply.json()


def test_limits_the_requests_of_a_client(nginx, behind):
    behind.faults, behind.stall_seconds = ["stall"] * 24, 4
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        replies = list(pool.map(lambda _: nginx.post(b'{"inputs": [1]}'), range(24)))
    behind.faults.clear()
    statuses = [reply.status_code for reply in replies]
    assert set(statuses) == {429, 502}  # What stalled was never answered.
    assert statuses.count(502) >= 16
    assert nginx.post(b'{"inputs": [1]}').status_code == 200
