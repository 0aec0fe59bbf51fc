"""The proxy of export/tf_serving, in front of the embedded server."""

import concurrent.futures
import contextlib
import gzip
import os
import shutil
import socket
import subprocess

import numpy as np
import pytest

from keras_genimg.serving import read_metadata
from tests.export.flaky_proxy import flaky_proxy
from tests.export.running_server import ROOT, requests, wait_until

pytestmark = pytest.mark.slow

TF_SERVING = ROOT / "export" / "tf_serving"
PAGE = ROOT / "export" / "server" / "page"
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


class Nginx:
    """nginx with export/tf_serving/nginx.conf, except for paths and addresses."""

    def __init__(self, directory, target, base_dir):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self._log = directory / "log.txt"
        shutil.copy(TF_SERVING / "guard.js", directory)
        text = (TF_SERVING / "nginx.conf").read_text()
        text = text.replace(" /tmp/", f" {directory}/")
        for old, new in {
            "listen 8501;": f"listen 127.0.0.1:{port};",
            "server tf-serving:8501;": f"server {target.removeprefix('http://')};",
            "access_log /dev/stdout;": "access_log off;",
            "root /page;": f"root {PAGE};",
            "alias /page/$1;": f"alias {PAGE}/$1;",
            "alias /models/;": f"alias {base_dir}/;",
            "alias /models/$1": f"alias {base_dir}/$1",
        }.items():
            assert text.count(old) == 1
            text = text.replace(old, new)
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

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)

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
def nginx(behind, base_dir, tmp_path_factory):
    if NGINX is None:
        pytest.skip("needs nginx")
    started = Nginx(tmp_path_factory.mktemp("nginx"), behind.address, base_dir)
    yield started
    started.stop()


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


DEEP = [
    b"[" * 33,
    b"[" * 20_000,
    b'{"inputs": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    b'{"inputs": ' + b'{"a":' * 20_000,
    b'{"inputs": ' + b"[ " * 20_000,
    b'{"inputs": ' + b"[1," * 20_000,
    b'{"inputs": ' + b"[[],[1]," * 20_000,
    # Brackets and quotes in strings do not count.
    b'{"inputs": ' + b'["]",' * 20_000,
    b'{"inputs": ' + b'["]]",[' * 20_000,
    b'{"inputs": ' + b'["\\"]",' * 20_000,
    b'{"inputs": ' + b'["\\\\","]",' * 20_000,
    b'["' + b"]" * 20_000 + b'",' + b"[" * 20_000,
    b'"' * 210_000,
]


@pytest.mark.parametrize("body", DEEP, ids=range(len(DEEP)))
@pytest.mark.parametrize("chunked", [False, True])
def test_refuses_deeply_nested_bodies(nginx, behind, body, chunked):
    for start in (b"", b" "):  # It is read in pairs of bytes.
        before = behind.posts
        sent = start + body
        reply = nginx.post(iter([sent[:5], sent[5:]]) if chunked else sent)
        assert reply.status_code == 400
        assert "at most 32 levels" in reply.json()["error"]
        assert behind.posts == before


@pytest.mark.parametrize(
    "body, status",
    [
        (b'{"inputs": [4611686018427387903]}', 200),
        (b'{"inputs": {"s\\u0065ed": [1]}}', 200),
        (b'{"signature_name": "sampl\\u0065", "inputs": [1]}', 200),
        (b'{"instances": [' + b",".join([b'{"seed": 7}'] * 16) + b"]}", 200),
        # The server refuses these, each alone.
        (b"", 400),
        (b"[" * 32 + b"]" * 32, 400),
        (b"[" + b"[]," * 50_000 + b"[]]", 400),
        (b'["' + b"[" * 20_000 + b'"]', 400),
        (b'{"inputs": ["\\\\\\"' + b"[" * 20_000 + b'"]}', 400),
    ],
)
def test_leaves_all_else_to_the_server(nginx, behind, body, status):
    before = behind.posts
    assert nginx.post(body).status_code == status
    assert behind.posts == before + 1


def test_refuses_large_bodies(nginx, behind):
    before = behind.posts
    reply = nginx.post(b'{"inputs": [' + b"1," * 2**21 + b"1]}")
    assert reply.status_code == 413 and "at most 4 MiB" in reply.json()["error"]
    assert behind.posts == before


def test_refuses_large_bodies_of_many_chunks(nginx, behind):
    before = behind.posts
    reply = nginx.post(iter([b'{"inputs": [', *[b"1," * 1000] * 2096, b"1]}"]))
    assert reply.status_code == 413 and "Content-Length" in reply.json()["error"]
    assert behind.posts == before
    assert nginx.post(iter([b'{"inputs": [', *[b"1,"] * 15, b"1]}"])).ok


def test_refuses_compressed_bodies(nginx, behind):
    """The server decompresses them, so that their brackets would not be seen."""
    before = behind.posts
    body = gzip.compress(b"[" * 20_000)
    reply = nginx.post(body, **{"Content-Encoding": "gzip"})
    assert reply.status_code == 415
    assert "compressed" in reply.json()["error"]
    assert behind.posts == before


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/v1/models/vae:predict", 403),
        ("POST", "/v1/models/vae", 403),
        ("DELETE", "/v1/models/vae", 403),
        ("POST", "/v1/models/vae:classify", 404),
        ("GET", "/monitoring/prometheus/metrics", 404),
        ("GET", "/v1/models/../../etc/passwd", 404),
        ("GET", "/page/", 404),
        ("GET", "/page/../nginx.conf", 404),
        ("GET", "/page/%2e%2e/nginx.conf", 404),
        ("GET", "/v1/models/.hidden/versions/1/assets/metadata", 404),
        ("GET", "/v1/models/vae/versions/7/assets/metadata", 404),
        ("GET", "/v1/models/vae/versions/1/assets/../saved_model.pb", 404),
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


def test_serves_the_page_and_what_it_needs(nginx, base_dir):
    def get(path):
        reply = requests.get(nginx.address + path, timeout=60)
        assert reply.status_code == 200, path
        return reply

    page = get("/")
    assert page.content == (PAGE / "index.html").read_bytes()
    assert page.headers["Content-Type"] == "text/html"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for name, kind in (("page.js", "text/javascript"), ("style.css", "text/css")):
        reply = get(f"/page/{name}")
        assert reply.content == (PAGE / name).read_bytes()
        assert reply.headers["Content-Type"] == kind
    listed = {model["name"] for model in get("/v1/models").json()}
    assert listed == {path.name for path in base_dir.iterdir()}
    metadata = get("/v1/models/vae/versions/1/assets/metadata").json()
    assert metadata == read_metadata(base_dir / "vae" / "1")


def test_limits_the_requests_of_a_client(nginx, behind):
    behind.faults, behind.stall_seconds = ["stall"] * 48, 4
    with concurrent.futures.ThreadPoolExecutor(48) as pool:
        replies = list(pool.map(lambda _: nginx.post(b'{"inputs": [1]}'), range(48)))
    behind.faults.clear()
    statuses = [reply.status_code for reply in replies]
    assert set(statuses) == {429, 502}  # What stalled was never answered.
    assert statuses.count(502) >= 32
    (text,) = {r.json()["error"] for r in replies if r.status_code == 429}
    assert text == "more than 32 concurrent requests from one address"


def test_sixteen_clients_that_never_pause_are_no_flood(nginx):
    def statuses(_):
        return {nginx.post(b'{"inputs": [1]}').status_code for _ in range(20)}

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set.union(*pool.map(statuses, range(16))) == {200}
