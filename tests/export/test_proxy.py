"""The proxy of export/tf_serving, in front of the embedded server."""

import concurrent.futures
import gzip
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from genimg_export.clients.rest import RestModel
from tests.export.conftest import NAMES
from tests.export.flaky_proxy import flaky_proxy
from tests.export.nginx import TF_SERVING, running_nginx
from tests.export.running_server import free_port, requests, send_as_is
from tests.subprocesses import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def behind(server):
    """A server behind the proxy that counts the requests it receives."""
    with flaky_proxy(server.address) as started:
        yield started


@pytest.fixture(scope="module")
def address(behind, base_dir, tmp_path_factory):
    directory = tmp_path_factory.mktemp("nginx")
    with running_nginx(directory, behind.address, base_dir) as started:
        yield started


def post(address, body, path="vae:predict", **headers):
    """Post a body: bytes, or a list of chunks of them."""
    url = f"{address}/v1/models/{path}"
    body = iter(body) if isinstance(body, list) else body
    return requests.post(url, data=body, headers=headers, timeout=60)


def check_refused(address, behind, body, status, text, **headers):
    """Post what the proxy must refuse and not pass on."""
    before = behind.posts
    reply = post(address, body, **headers)
    assert reply.status_code == status and text in reply.json()["error"]
    assert behind.posts == before


def test_requests_come_through(address, drawn):
    reply = post(address, b'{"instances": [{"seed": 3}, {"seed": 4}]}')
    expected = drawn("vae", [3, 4])
    np.testing.assert_array_equal(reply.json()["predictions"], expected)
    for path in ("vae/labels/stable:predict", "vae/versions/1:predict"):
        assert post(address, b'{"instances": [3, 4]}', path).json() == reply.json()
    for path in ("vae", "vae/versions/1", "vae/metadata", "vae/labels/stable/metadata"):
        assert requests.get(f"{address}/v1/models/{path}", timeout=60).ok, path


@pytest.mark.parametrize("label", [None, "stable"])
def test_names_of_classes_come_through(label, address):
    assert (
        RestModel(address, "candidates", label=label).metadata()["class_names"] == NAMES
    )


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
def test_refuses_deeply_nested_bodies(address, behind, body, chunked):
    for sent in (body, b" " + body):  # It is read in pairs of bytes.
        sent = [sent[:5], sent[5:]] if chunked else sent
        check_refused(address, behind, sent, 400, "at most 32 levels")


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
        ([b'{"inputs": [', *[b"1,"] * 15, b"1]}"], 200),
    ],
)
def test_leaves_all_else_to_the_server(address, behind, body, status):
    before = behind.posts
    assert post(address, body).status_code == status
    assert behind.posts == before + 1


def test_refuses_large_and_compressed_bodies(address, behind):
    large = b'{"inputs": [' + b"1," * 2**21 + b"1]}"
    check_refused(address, behind, large, 413, "at most 4 MiB")
    chunks = [b'{"inputs": [', *[b"1," * 1000] * 2096, b"1]}"]
    check_refused(address, behind, chunks, 413, "Content-Length")
    # The server would decompress it, so that its brackets would not be seen.
    body, headers = gzip.compress(b"[" * 20_000), {"Content-Encoding": "gzip"}
    check_refused(address, behind, body, 415, "compressed", **headers)


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
def test_lets_nothing_else_pass(address, behind, method, path, status):
    before = behind.gets, behind.posts
    reply = send_as_is(method, address, path)
    assert (behind.gets, behind.posts) == before
    assert reply.status_code == status
    assert "error" in reply.json()


def test_limits_the_requests_of_a_client(address, behind):
    behind.faults = ["stall"] * 48
    with concurrent.futures.ThreadPoolExecutor(48) as pool:
        replies = list(pool.map(post, [address] * 48, [b'{"inputs": [1]}'] * 48))
    behind.faults.clear()
    statuses = [reply.status_code for reply in replies]
    assert set(statuses) == {429, 502}  # What stalled was never answered.
    assert statuses.count(502) >= 32
    (text,) = {r.json()["error"] for r in replies if r.status_code == 429}
    assert text == "more than 32 concurrent requests from one address"


@pytest.fixture(scope="module")
def secure(behind, base_dir, tmp_path_factory):
    """The proxy with TLS and passwords: its folder, its port and its address."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    directory, port = tmp_path_factory.mktemp("secure"), free_port()
    folder = directory / "tls"
    folder.mkdir()
    text = (TF_SERVING / "tls" / "tls.conf").read_text()
    text = text.replace(" /tls/", f" {folder}/")
    assert text.count("listen 8443 ssl;") == 1
    text = text.replace("listen 8443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    (folder / "tls.conf").write_text(text)
    readme = (ROOT / "export" / "README.md").read_text()
    (commands,) = re.findall(r"^cd \S+/tls\n(.*?)^cd \S+$", readme, re.M | re.S)
    subprocess.run(["bash", "-ec", commands], cwd=folder, check=True)
    with running_nginx(directory, behind.address, base_dir) as address:
        yield folder, port, address


def test_tls_and_passwords(secure, behind, drawn):
    folder, port, plain = secure
    url, body = f"https://localhost:{port}", b'{"inputs": [3, 4]}'
    certificate, user = str(folder / "tls.crt"), ("alice", "secret")
    paths = (
        "",
        "page/page.js",
        "v1/models/",
        "v1/models/vae",
        "v1/models/vae/metadata",
    )
    before = behind.posts, behind.gets
    for address in (url, plain):
        for auth in (None, ("alice", "wrong"), ("bob", "secret")):
            options = {"auth": auth, "verify": certificate, "timeout": 60}
            replies = [requests.get(f"{address}/{path}", **options) for path in paths]
            predict = f"{address}/v1/models/vae:predict"
            replies.append(requests.post(predict, data=body, **options))
            for reply in replies:
                assert reply.status_code == 401, reply.url
                assert reply.json()["error"].endswith("a user and a password")
                assert reply.headers["WWW-Authenticate"].startswith("Basic")
    assert (behind.posts, behind.gets) == before
    for address in (url, plain):
        options = {"auth": user, "verify": certificate, "timeout": 60}
        for path in paths:
            assert requests.get(f"{address}/{path}", **options).ok, path
        predict = f"{address}/v1/models/vae:predict"
        reply = requests.post(predict, data=body, **options)
        np.testing.assert_array_equal(reply.json()["outputs"], drawn("vae", [3, 4]))
    assert not any("authorization" in headers for headers in behind.headers)


def test_the_client_sends_a_password_by_tls(secure, tmp_path):
    folder, port, _ = secure
    url = f"https://alice:secret@localhost:{port}"
    command = [sys.executable, "-m", "genimg_export.client", "--url", url]
    command += ["--model", "vae", "status"]
    environment = {**os.environ, "REQUESTS_CA_BUNDLE": str(folder / "tls.crt")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "AVAILABLE" in done.stdout
    del environment["REQUESTS_CA_BUNDLE"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "secret" not in done.stderr
    assert "REQUESTS_CA_BUNDLE" in done.stderr
