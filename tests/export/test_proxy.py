"""The proxy of export/tf_serving, in front of the embedded server."""

import concurrent.futures
import contextlib
import gzip
import json
import os
import pathlib
import shutil
import socket
import subprocess

import numpy as np
import pytest

from keras_genimg.serving.request_rules import FILE, write_rules
from tests.export.flaky_proxy import flaky_proxy
from tests.export.running_server import ROOT, requests, running, wait_until

pytestmark = pytest.mark.slow

TF_SERVING = ROOT / "export" / "tf_serving"
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


class Nginx:
    """nginx with export/tf_serving/nginx.conf, except for paths and addresses."""

    def __init__(self, directory, target, models_dir):
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
            "set $models_dir /models;": f"set $models_dir {models_dir};",
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

    @property
    def cpu_seconds(self):
        """CPU time that the workers have used."""
        ticks = 0
        for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # It has ended.
                fields = status.read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.process.pid:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

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


def test_every_signature_can_be_called(nginx, base_dir):
    """In rows and in columns, with the values of its rules."""
    for name in ("pixels", "vae", "draw", "candidates"):
        rules = json.loads((base_dir / name / FILE).read_text())["any_version"]
        for signature, rule in rules.items():
            columns = {
                key: np.ones([2, *given["shape"][1:]], int).tolist()
                for key, given in rule["inputs"].items()
            }
            rows = [{key: column[k] for key, column in columns.items()} for k in (0, 1)]
            for form, values in {"inputs": columns, "instances": rows}.items():
                body = json.dumps({"signature_name": signature, form: values})
                reply = nginx.post(body.encode(), f"{name}:predict")
                assert reply.status_code == 200, (name, signature, form, reply.text)


@pytest.mark.parametrize(
    "body, status, text",
    [
        (b"[" * 20_000, 400, "not deeply nested"),
        (
            b'{"inputs": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
            400,
            "not deeply nested",
        ),
        (b'{"inputs": ' + b'{"a":' * 20_000, 400, "at most 5000 names"),
        (b'{"inputs": ' + b'{"a":' * 2_000, 400, "not deeply nested"),
        (b'{"a": "\\", "inputs": ' + b"[" * 20_000, 400, "must not have backslashes"),
        (b"", 400, "must be JSON"),
        (b'{"inputs": [1]} 2', 400, "must be JSON"),
        (b'{"inputs": [NaN]}', 400, "must be JSON"),
        (b"[1]", 400, "must be an object"),
        (b"{}", 400, "either inputs or instances"),
        (b'{"inputs": [1], "instances": [1]}', 400, "either inputs or instances"),
        (b'{"inputs": [1], "more": 1}', 400, "nothing else"),
        (b'{"inputs": [[1]], "inputs": [1]}', 400, "each name once"),
        (b'{"inputs": {"seed": [[1]], "seed": [1]}}', 400, "each name once"),
        (b'{"inputs": []}', 400, "has an empty list"),
        (b'{"inputs": {"seed": [ \r\n\t]}}', 400, "has an empty list"),
        (b'{"instances": []}', 400, "has an empty list"),
        (b'{"inputs": [[]]}', 400, "must have 1 axes, not more"),
        (b'{"inputs": {"seed": [[1]]}}', 400, "must have 1 axes, not more"),
        (b'{"instances": [{"seed": [1]}]}', 400, "must have 1 axes, not more"),
        (b'{"inputs": 1}', 400, "a list is missing"),
        (b'{"inputs": {"seed": 1}}', 400, "a list is missing"),
        (b'{"inputs": {"seed": null}}', 400, "a list is missing"),
        (b'{"inputs": ["1"]}', 400, "numbers, not values of type string"),
        (b'{"inputs": [true]}', 400, "numbers, not values of type boolean"),
        (b'{"inputs": [null]}', 400, "numbers, not values of type object"),
        (b'{"inputs": [{"b64": "MQ=="}]}', 400, "each name once"),
        (b'{"inputs": [1.5]}', 400, "must have whole numbers, not 1.5"),
        (b'{"inputs": [1e400]}', 400, "in its range"),
        (b'{"inputs": [-1]}', 400, "in its range, which -1 is not"),
        (b'{"inputs": [4611686018427387904]}', 400, "in its range"),
        (b'{"inputs": {}}', 400, "needs the input seed"),
        (b'{"inputs": {"sed": [1]}}', 400, "has the inputs seed, not sed"),
        (b'{"inputs": {"seed": [1], "more": [1]}}', 400, "the inputs seed, not more"),
        (b'{"inputs": {"seed": [1], "constructor": [1]}}', 400, "not constructor"),
        (b'{"inputs": {"seed": [1], "__proto__": [1]}}', 400, "not __proto__"),
        (b'{"instances": [{"sed": 1}]}', 400, "must have the fields seed"),
        (b'{"instances": [{"seed": 1, "more": 1}]}', 400, "must have the fields seed"),
        (b'{"instances": [{}]}', 400, "must have the fields seed"),
        (b'{"instances": [{"seed": 1}, 1]}', 400, "must have the fields seed"),
        (b'{"instances": [1, {"seed": 1}]}', 400, "not values of type object"),
        (b'{"instances": [{"seed": "1"}]}', 400, "not values of type string"),
        (b'{"inputs": [' + b"1," * 16 + b"1]}", 400, "at most 16 examples, not 17"),
        (b'{"instances": [' + b"1," * 16 + b"1]}", 400, "at most 16 examples, not 17"),
        (b'{"signature_name": "no", "inputs": [1]}', 400, "must be one of"),
        (b'{"signature_name": 1, "inputs": [1]}', 400, "must be one of"),
        (b'{"signature_name": "toString", "inputs": [1]}', 400, "must be one of"),
        (body_of(5 * 2**20), 413, "at most 4 MiB"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_refuses_what_would_harm_the_server(nginx, behind, body, status, text, chunked):
    """Or other clients, whose requests it merges with this one."""
    before = behind.posts
    reply = nginx.post(iter([body[:5], body[5:]]) if chunked else body)
    assert reply.status_code == status
    assert text in reply.json()["error"]
    assert behind.posts == before


@pytest.mark.parametrize(
    "images, text",
    [
        (np.zeros((1, 4, 3, 1)), "axis 2 of images must have size 4, not 3"),
        (np.zeros((1, 4, 4)), "a list is missing"),
        (np.zeros((1, 4, 4, 1, 1)), "must have 4 axes, not more"),
        ([np.zeros((4, 4, 1)), np.zeros((3, 4, 1))], "axis 1 of images must have size"),
        (np.full((1, 4, 4, 1), 256), "in its range, which 256 is not"),
    ],
)
def test_refuses_images_of_other_sizes(nginx, behind, images, text):
    before = behind.posts
    values = [np.asarray(image).astype(int).tolist() for image in images]
    body = {"signature_name": "encode", "inputs": {"images": values}}
    reply = nginx.post(json.dumps(body).encode())
    assert reply.status_code == 400 and text in reply.json()["error"]
    body = {"signature_name": "encode", "instances": [{"images": v} for v in values]}
    reply = nginx.post(json.dumps(body).encode())
    assert reply.status_code == 400 and text in reply.json()["error"]
    assert behind.posts == before


@pytest.fixture(scope="module")
def large(base_dir):
    """Rules of a model that is not there, with small images and large ones."""
    rule = {"dtype": "int32", "low": 0, "low_open": False, "high": 255}
    rule["high_open"] = False
    rules = {
        f"of {size}": {
            "inputs": {"images": {**rule, "shape": [None, size, size, 1]}},
            "max_examples": None,
        }
        for size in (4, 28)
    }
    (base_dir / "large").mkdir()
    write_rules(base_dir / "large", {1: {**rules, "serving_default": rules["of 28"]}})
    return "large:predict"


# Lists of 28x28 pixels are so long that they are checked as text.
@pytest.mark.parametrize("size", [4, 28])
@pytest.mark.parametrize(
    "old, new, count",
    [
        ("[0]", "0", -1),
        ("[0]", "[[0]]", -1),
        ("[0]", "0", 1),
        ("[0]", "[[0]]", 1),
        ("[0]", "[0,0]", -1),
        ("[0]", "[0,0]", 1),
        ("[0],", "", 1),
        ("[0]", "[0],[0]", 1),
        ("[0]", "[]", 1),
        ("[0]", '["0"]', 1),
        ("[0]", '["0"]', -1),
        ("[0]", "[0.5]", 1),
        ("[0]", "[256]", 1),
        ("[0]", "[-1]", 1),
        ("[0]", "[null]", 1),
        ("[0]", "[true]", 1),
        ("[0]", "[{}]", 1),
        ("[0]", "[0,]", 1),
        ("[0]", "[" * 17 + "0" + "]" * 17, 1),
        ("[0]]", "[0]", 1),
    ],
)
def test_refuses_one_bad_image_among_good_ones(
    nginx, behind, large, size, old, new, count
):
    good = json.dumps(np.zeros((size, size, 1), int).tolist(), separators=(",", ":"))
    bad = good.replace(old, new, count)
    for form in ('"inputs":{"images":[%s]}', '"instances":[%s]', "rows"):
        for middle, is_good in ((good, True), (bad, False)):
            images = [good, middle, good]
            if form == "rows":
                images = ['{"images":' + image + "}" for image in images]
            values = form.replace("rows", '"instances":[%s]') % ",".join(images)
            before = behind.posts
            body = '{"signature_name":"of ' + str(size) + '",' + values + "}"
            reply = nginx.post(body.encode(), large)
            # The server behind does not have the model.
            assert reply.status_code == (404 if is_good else 400), reply.text
            assert behind.posts == before + is_good


def test_inputs_must_agree_in_their_number_of_examples(nginx, behind):
    before = behind.posts
    body = b'{"signature_name": "sample", "inputs": {"label": [1, 2], "seed": [1]}}'
    reply = nginx.post(body, "pixels:predict")
    assert reply.status_code == 400 and "same number" in reply.json()["error"]
    reply = nginx.post(b'{"inputs": [1]}', "pixels:predict")
    assert "must have the fields label, seed" in reply.json()["error"]
    reply = nginx.post(b'{"instances": [1]}', "pixels:predict")
    assert "must have the fields label, seed" in reply.json()["error"]
    assert behind.posts == before


def test_rules_are_read_again_and_needed(nginx, behind, base_dir):
    before = behind.posts
    for path, text in {
        "nothing:predict": "no model nothing with a file request_rules.json",
        "vae/versions/7:predict": "vae has no version 7",
        "vae/versions/toString:predict": "vae has no version toString",
    }.items():
        reply = nginx.post(b'{"inputs": [1]}', path)
        assert reply.status_code == 400 and text in reply.json()["error"]

    file = base_dir / "vae" / FILE
    content = file.read_bytes()
    rules = json.loads(content)
    try:
        file.write_text(json.dumps({**rules, "any_version": None}))
        reply = nginx.post(b'{"inputs": [1]}')
        assert "have different inputs; name a version" in reply.json()["error"]
        assert behind.posts == before
        assert nginx.post(b'{"inputs": [1]}', "vae/versions/1:predict").ok
        file.unlink()
        assert nginx.post(b'{"inputs": [1]}').status_code == 400
    finally:
        file.write_bytes(content)
    assert nginx.post(b'{"inputs": [1]}').ok


@pytest.mark.parametrize("num_images, status", [(12, 404), (13, 400)])
def test_refuses_numbers_that_are_all_written_differently(
    nginx, behind, large, num_images, status
):
    """More than 10,000 of them: each costs the guard much time."""
    values = [" " * (k // 256) + str(k % 256) for k in range(num_images * 28 * 28)]
    images = np.array(values).reshape(num_images, 28, 28, 1).tolist()
    before = behind.posts
    body = '{"inputs":' + json.dumps(images).replace('"', "") + "}"
    reply = nginx.post(body.encode(), large)
    assert reply.status_code == status, reply.text
    assert behind.posts == before + (status == 404)


def test_the_largest_bodies_are_checked_in_half_a_second(nginx, large):
    """In columns, in rows, and of many lists that are not quite short.

    Half a second of CPU time, which does not depend on what else the machine does.
    """
    image = "[" + ",".join(["[" + ",".join(["[0]"] * 28) + "]"] * 28) + "]"
    row = '{"images":' + image + "}"
    numbers = "[" + "1," * 130 + "1]x"
    most = 2**22 - 30
    columns = '{"inputs":[' + ",".join([image] * (most // (len(image) + 1))) + "]}"
    rows = '{"instances":[' + ",".join([row] * (most // (len(row) + 1))) + "]}"
    for good in (columns, rows):
        assert most - len(good) < 5000
        reply = nginx.post(good.encode(), large)
        assert reply.status_code in (404, 413)  # Of the server behind.
        assert "MiB; send fewer" not in reply.text
    for body, text in {
        columns.removesuffix("0]]]]}") + "9999]]]]}": "whole numbers in its range",
        rows.removesuffix("0]]]}]}") + "9999]]]}]}": "whole numbers in its range",
        '{"inputs":' + numbers * (most // len(numbers)) + "}": "must be JSON",
        '"[' * (most // 2): "at most 5000 names",
        "[" * most: "must be JSON",
    }.items():
        seconds = []
        for _ in range(4):
            start = nginx.cpu_seconds
            reply = nginx.post(body.encode(), large)
            seconds.append(nginx.cpu_seconds - start)
            assert text in reply.json()["error"]
        assert min(seconds) < 0.5, (text, seconds)


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


@pytest.fixture(scope="module")
def merging(base_dir, tmp_path_factory):
    """A server that merges requests and lets them fail together."""
    options = "--batch-window-ms", 300, "--fail-batches-together"
    directory = tmp_path_factory.mktemp("merging")
    with running(directory, "--base-dir", base_dir, *options) as started:
        yield started


BAD = [
    b'{"inputs": {"seed": [[1]]}}',
    b'{"signature_name": "sample", "inputs": {"seed": [-1]}}',
    b'{"signature_name": "encode", "inputs": {"images": [[[[0]]]]}}',
]
GOOD = [
    b'{"inputs": {"seed": [1]}}',
    b'{"signature_name": "sample", "inputs": {"seed": [1]}}',
    b'{"signature_name": "encode", "inputs": {"images": [%s]}}'
    % json.dumps(np.zeros((4, 4, 1), int).tolist()).encode(),
]


@pytest.mark.parametrize("bad, good", list(zip(BAD, GOOD, strict=True)))
def test_a_careless_client_has_no_victims(merging, base_dir, tmp_path, bad, good):
    """Without the guard, others get the errors of requests that are not theirs."""
    if NGINX is None:
        pytest.skip("needs nginx")

    def statuses(address):
        url = f"{address}/v1/models/vae:predict"
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            posts = [
                pool.submit(requests.post, url, data=b, timeout=60) for b in bodies
            ]
        return [post.result().status_code for post in posts]

    bodies = [good, bad, good, good]
    assert statuses(merging.address) == [400] * 4
    nginx = Nginx(tmp_path, merging.address, base_dir)
    try:
        assert statuses(nginx.address) == [200, 400, 200, 200]
    finally:
        nginx.process.terminate()
        nginx.process.wait(timeout=30)
