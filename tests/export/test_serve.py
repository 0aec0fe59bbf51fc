import base64
import concurrent.futures
import errno
import socket
import sys
import time

import numpy as np
import psutil
import pytest
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from genimg_export import serve
from tests.export.plain_model import TYPES
from tests.export.running_server import calling, requests, running, send_as_is
from tests.subprocesses import run_python

pytestmark = pytest.mark.slow

FOREVER = {"signature_name": "spin", "instances": [2**60]}

DEEP = b'{"instances": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"
IMAGE = [[[0, 0, 0]] * 5] * 4  # 4 rows, 5 columns, 3 colors


def named(signature, **body):
    return {"signature_name": signature, **body}


CLASSES = "A label is the number of a class: 0 red, 1 green, 2 0"
# What the error says, by model and body. The status is 400, or 404.
MALFORMED = {
    "vae": [
        # Not JSON, or not of the form of a request.
        (b'{"instances": [1], "instances": [2]}', "'instances' occurs twice"),
        (b'{"inputs": {"seed": [1], "seed": [2]}}', "'seed' occurs twice"),
        (b'{"instances": ["\xff"]}', "utf-8"),
        (DEEP, "maximum recursion depth"),
        (b'{"instances": [' + b"1" * 5000 + b"]}", "integer string conversion"),
        (b'{"instances": [NaN]}', "NaN is not a JSON number"),
        ([1], "must be an object"),
        ({}, "must have either instances"),
        ({"instances": [1], "inputs": [1]}, "and not both"),
        ({"instances": [1], "signature": "sample"}, "Unknown keys"),
        (named(3, instances=[1]), "signature_name must be a string"),
        (named("nope", instances=[1]), '"nope" not found in signature def'),
        (named("__saved_model_init_op", instances=[1]), "not found"),
        # Instances and inputs.
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": 5}, "instances must be a list"),
        ({"inputs": 5}, "seed has the shape [], and the signature takes [?]"),
        ({"instances": [1] * 17}, "1 to 16 examples, got [17]"),
        ({"instances": [[1], [1, 2]]}, "seed is ragged"),
        (b'{"inputs": ' + b"[" * 100 + b"]" * 100 + b"}", "nested too deep"),
        ({"instances": [{"seed": 1}, 2]}, "instances[1] must be an object"),
        # Types.
        ({"instances": [1.0]}, "must be of type int64. Received 1.0"),
        ({"instances": [True]}, "Received True"),
        ({"instances": [2**63]}, "9223372036854775808"),
        (named("decode", instances=[[0, 1e39]]), "type float32"),
        (named("decode", instances=[[0, 10**400]]), "Received 1000"),
    ],
    "pixels": [
        ({"instances": [1]}, "an object with the keys label, seed"),
        ({"instances": [{"seed": 1}]}, "Received: seed"),
        (
            {"instances": [{"seed": 1, "label": 0, "top": 1}]},
            "Received: label, seed, top",
        ),
        ({"inputs": {"seed": [1], "top": [1]}}, "Received: seed, top"),
        ({"inputs": {"seed": [1, 2], "label": [0]}}, "same number of examples"),
        ({"instances": [{"seed": 1, "label": 2**31}]}, "label must be of type int32"),
        (
            named("log_prob", instances=[{"images": IMAGE[:3], "label": 0}]),
            "images has the shape [1,3,5,3], and the signature takes [?,4,5,3]",
        ),
    ],
    # Labels stay numbers, as in TensorFlow Serving; the error has the names.
    "candidates": [
        ({"inputs": {"seed": [1], "label": label}}, f"{text}. {CLASSES}")
        for label, text in (
            (["red"], "type int32. Received 'red'"),
            ([9], "label must be integers from 0 to 2, got [9]"),
            (
                [[0]],
                "takes [?], where ? is the number of examples or any size",
            ),
        )
    ]
    + [
        ({"inputs": {"seed": [1]}}, f"Received: seed. {CLASSES}"),
        ({"inputs": {"seed": [1.5], "label": [0]}}, "Received 1.5"),
    ],
    "plain": [
        (named("text", instances=[5]), "text must be of type string"),
        (named("text", instances=[{"b64": "_-=="}]), "base64 decode"),
        (named("text", instances=["\ud800"]), "not Unicode"),
        (named("word", instances=[1, 2]), "inconsistent batch size"),
    ],
    "vae/versions/-1": [({"instances": [1]}, "Malformed request")],
    "vae/versions/" + "9" * 5000: [({"instances": [1]}, "Malformed request")],
    "vae/labels/old": [({"instances": [1]}, "Unrecognized servable version label")],
    "nope": [({"instances": [1]}, "Servable not found for request: ")],
    "..": [({"instances": [1]}, "Servable not found for request: ")],
    "vae/versions/7": [({"instances": [1]}, "Servable not found for request: ")],
}


def test_more_than_one_output(drawn, log_prob, server):
    images = drawn("pixels", [1, 2], 0)
    columns = {"images": images.tolist(), "label": [0, 0]}
    instances = [{"images": image.tolist(), "label": 0} for image in images]
    ask = {"signature_name": "log_prob"}
    outputs = server.predict("pixels", inputs=columns, **ask)
    predictions = server.predict("pixels", instances=instances, **ask)
    assert list(outputs) == ["bits_per_dim", "log_prob"]
    assert predictions == [
        {name: values[i] for name, values in outputs.items()} for i in range(2)
    ]
    nats = log_prob(images, 0)
    np.testing.assert_allclose(outputs["log_prob"], nats, rtol=1e-6)
    np.testing.assert_allclose(outputs["bits_per_dim"], -nats / np.log(2) / 60, 1e-6)


def test_every_type_comes_back_as_it_was_sent(server):
    others = {"bool_value": True, "string_value": 'ä\n"\\'}
    others |= {"float32_value": float(np.float32(0.1)), "float64_value": 5e-324}
    limits = [np.iinfo(name) for name in TYPES if "int" in name]
    instances = [
        {**others, **{f"{of.dtype}_value": int(getattr(of, end)) for of in limits}}
        for end in ("min", "max")
    ]
    reply = server.predict("plain", instances=instances, signature_name="types")
    assert reply == instances
    assert type(reply[0]["bool_value"]) is bool


def test_bytes_travel_as_base64(server):
    raw = bytes(range(256))
    sent = {"b64": base64.b64encode(raw).decode()}
    ask = {"signature_name": "text"}
    answer = server.post("plain:predict", {"instances": [sent], **ask})
    assert answer.status_code == 400 and "Output text is binary" in answer.text
    text = {"b64": base64.b64encode("ä".encode()).decode()}
    for body in ({"instances": [text]}, {"instances": [{"text": text}]}):
        reply = server.predict("plain", **body, **ask)
        assert reply == [{"text": "ä", "text_bytes": text}]
    reply = server.predict("plain", inputs=[text], **ask)
    assert reply == {"text": ["ä"], "text_bytes": [text]}
    reply = server.predict("plain", signature_name="word", inputs=[1, 2])
    word = base64.b64encode(b"a\0b\0").decode()
    assert reply == {"word_bytes": {"b64": word}, "sum": 3}


STATUS = {"error_code": "OK", "error_message": ""}
AVAILABLE = {"version": "1", "state": "AVAILABLE", "status": STATUS}
ways_to_name_a_version = pytest.mark.parametrize(
    "path", ["vae", "vae/versions/1", "vae/labels/stable"]
)


def test_listens_on_loopback_only(server):
    assert server.address.startswith("http://127.0.0.1:")


@ways_to_name_a_version
def test_status_of_a_version(server, path):
    reply = server.get(f"/v1/models/{path}").json()
    assert reply == {"model_version_status": [AVAILABLE]}


@ways_to_name_a_version
def test_metadata_of_a_version_are_its_signatures(server, base_dir, path):
    reply = server.get(f"/v1/models/{path}/metadata").json()
    spec = {"name": "vae", "signature_name": "", "version": "1"}
    assert reply["model_spec"] == spec
    saved = saved_model_pb2.SavedModel.FromString(
        (base_dir / "vae" / "1" / "saved_model.pb").read_bytes()
    )
    served = reply["metadata"]["signature_def"]["signature_def"]
    assert {
        name: json_format.ParseDict(value, meta_graph_pb2.SignatureDef())
        for name, value in served.items()
    } == dict(saved.meta_graphs[0].signature_def)


@ways_to_name_a_version
def test_the_library_s_metadata_of_a_version(server, path):
    reply = server.get(f"/v1/models/{path}/assets/metadata").json()
    assert reply["family"] == "VAE"


def test_a_model_without_metadata_of_the_library(server):
    answer = server.get("/v1/models/plain/assets/metadata")
    assert answer.status_code == 404 and "metadata.json" in answer.json()["error"]


def test_all_models_are_listed(server):
    listed = {m["name"]: m for m in server.get("/v1/models").json()["models"]}
    assert {"draw", "pixels", "plain", "vae"} <= set(listed)
    labels = {"stable": "1"}
    assert listed["vae"] == {"name": "vae", "versions": [AVAILABLE], "labels": labels}


@pytest.mark.parametrize(
    "arguments, code, text",
    [
        ((), 2, "one of the arguments --base-dir --model is required"),
        (("--base-dir", "nowhere"), 1, "nowhere"),
        (("--base-dir", ".", "--label", "stable=1"), 2, "stable=1 is not NAME:LABEL"),
        (("--base-dir", ".", "--timeout", "0"), 2, "float above 0"),
        (("--base-dir", ".", "--port", "65536"), 2, "not an integer from 0 to 65535"),
        (("--base-dir", ".", "--host", "192.0.2.1"), 1, "Choose another --host"),
        (("--model", "models"), 2, "models is not NAME=DIR"),
        (("--model", "a=nowhere"), 1, "there is no directory nowhere"),
    ],
)
def test_wrong_command_lines_are_refused(arguments, code, text, run_command):
    assert text in run_command(serve, *arguments, code=code)[1]


def test_says_how_to_install_what_is_missing(run_command, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    _, errors = run_command(serve, "--base-dir", ".", "--port", 0, code=1)
    assert "uvicorn" in errors and 'pip install ".[serving]"' in errors


def test_a_taken_port_is_told_before_tensorflow_is_imported():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        printed = run_python("-c", TAKEN, "--base-dir", ".", "--port", port)
    assert f"serve: port {port} of 127.0.0.1 is taken" in printed
    assert "another --port, or --port 0 for a free one" in printed
    assert printed.endswith("\nset()\n")


TAKEN = """
import sys
from genimg_export import serve
try:
    serve.main()
except SystemExit as ended:
    print(ended.code)
print({"fastapi", "keras", "tensorflow"} & set(sys.modules))
"""


def test_a_port_that_was_bound_first_and_listened_on_last():
    """Ports of servers that do not listen yet can be bound by several."""
    with serve.bind("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        with serve.bind("127.0.0.1", port) as faster:
            faster.listen()
            arguments = serve.parse_arguments(["--base-dir", ".", "--port", str(port)])
            with pytest.raises(SystemExit) as ended, serve.told_of_address(arguments):
                bound.listen()
    assert f"port {port} of 127.0.0.1 is taken" in str(ended.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_the_port_of_a_server_that_has_just_ended_can_be_bound(host):
    with serve.bind(host, 0) as first:
        port = first.getsockname()[1]
        with socket.socket(first.family) as refused:
            assert refused.connect_ex((host, port)) == errno.ECONNREFUSED
        first.listen()
        client = socket.create_connection((host, port))
        served, _ = first.accept()
        served.close()  # The side that closes first keeps the port for a minute.
        client.close()
    serve.bind(host, port).close()


def test_what_tensorflow_serving_ignores_is_ignored(server):
    expected = server.predict("vae", inputs=[1, 2])
    more = {"inputs": {"seed": [1, 2], "more": [3]}}
    for body in (
        more,
        b' {"inputs": [1, 2]} more',
        b'{"inputs": [1, 2]}{"inputs": []}',
    ):
        answer = server.post("vae:predict", body)
        assert answer.status_code == 200 and answer.json() == {"outputs": expected}


def test_many_keys_take_time_in_proportion_to_their_number(server):
    """A body full of keys took minutes when each key was searched among all others."""
    keys = b", ".join(b'"%d": 0' % number for number in range(80_000))
    start = time.monotonic()
    answer = server.post("vae:predict", b'{%s, "79999": 0}' % keys)
    assert answer.status_code == 400 and "'79999' occurs twice" in answer.text
    answer = server.post("vae:predict", b"{%s}" % keys)
    assert answer.status_code == 400 and "Unknown keys '0', '1'" in answer.text
    assert len(answer.text) < 500
    assert time.monotonic() - start < 15


def test_requests_to_other_hosts_are_refused(server):
    """The page of another site can point its name at this server."""
    for path in ("/", "/v1/models/vae", "/v1/models", "/docs"):
        url, headers = server.address + path, {"Host": "rebound.example:8501"}
        answer = server.session.get(url, headers=headers, timeout=60)
        assert answer.status_code == 403
        assert "'rebound.example:8501'" in error_of(answer)
        assert "--allowed-host" in error_of(answer)
    url = f"{server.address}/v1/models/vae:predict"
    answer = server.session.post(url, b"{}", headers=headers, timeout=60)
    assert answer.status_code == 403
    headers = {"Host": "localhost:1"}
    body = {"instances": [1]}
    assert server.session.post(url, json=body, headers=headers, timeout=60).ok


def error_of(answer):
    """Return the error of a reply, which has nothing else."""
    ((key, error),) = answer.json().items()
    assert key == "error"
    return error


@pytest.mark.parametrize(
    "path, body, text",
    [(path, *case) for path, cases in MALFORMED.items() for case in cases],
)
def test_malformed_requests_get_an_error_that_names_the_fault(path, body, text, server):
    answer = server.post(f"{path}:predict", body)
    assert answer.status_code == (404 if "not found for" in text else 400), answer.text
    error = error_of(answer)
    assert text in error
    assert text.endswith(CLASSES) == (CLASSES in error)
    assert "node" not in error and "\n" not in error


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/v1/models/vae:predict", 400),
        ("POST", "/v1/models/vae", 400),
        ("POST", "/v1/models/vae:generate", 400),
        ("GET", "/v1/models/vae/", 400),
        ("GET", "/v1/models/vae/versions/one", 400),
        ("GET", "/v1/models/vae/versions/1/..", 400),
        ("GET", "/v1/models/nope", 404),
        ("GET", "/v1/models/nope/labels/stable", 404),
        ("GET", "/v1/models/vae/versions/7", 404),
        ("GET", "/v1/models/vae/versions/7/metadata", 404),
        ("GET", "/v1/models/vae/labels/old/metadata", 400),
        ("GET", "/v1/models/%2e%2e", 404),
        ("GET", "/v1/models/..%2f..%2fetc%2fpasswd", 400),
        ("GET", "/v1/models/vae%00", 404),
        ("GET", "/page/../serve.py", 404),
        ("GET", "/page/..%2f..%2fserve.py", 404),
        ("GET", "/page/%2e%2e/%2e%2e/serve.py", 404),
        ("GET", "//etc/passwd", 404),
        ("GET", "/docs", 404),
    ],
)
def test_other_paths_lead_nowhere(method, path, status, server):
    answer = send_as_is(method, server.address, path)
    assert answer.status_code == status, answer.text
    assert error_of(answer)


def test_compressed_bodies_are_refused(server):
    url = f"{server.address}/v1/models/vae:predict"
    answer = server.session.post(
        url, b"\x1f\x8b", headers={"Content-Encoding": "gzip"}, timeout=60
    )
    assert answer.status_code == 400 and "gzip" in answer.json()["error"]


def running_small(base_dir, directory):
    """Run a server that computes one request and lets one wait, for 2 seconds."""
    models = [f"--model={name}={base_dir / name}" for name in ("plain", "vae")]
    limits = ("--max-concurrent", 1, "--max-queued", 1, "--timeout", 2)
    return running(directory, *models, "--max-body-bytes", 1000, *limits)


@pytest.fixture(scope="module")
def small(base_dir, tmp_path_factory):
    with running_small(base_dir, tmp_path_factory.mktemp("small")) as started:
        yield started


def test_a_request_that_takes_too_long_is_given_up(small):
    start = time.monotonic()
    answer = small.post("plain:predict", FOREVER)
    took = time.monotonic() - start
    assert answer.status_code == 504, answer.text
    error = answer.json()["error"]
    assert error == "Timed out after 2 s. Start the server with a longer --timeout."
    assert 1.5 < took < 5
    # Its work has ended too.
    time.sleep(0.5)
    process = psutil.Process(small.process.pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(1)
    assert sum(process.cpu_times()[:2]) - before < 0.5
    assert small.predict("vae", instances=[1])
    # One that asks for several can ask for fewer.
    answer = small.post("plain:predict", {**FOREVER, "instances": [2**60, 1]})
    assert answer.status_code == 504 and "Ask for fewer images" in answer.text


def test_requests_above_the_limit_are_told_to_come_back(small):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(small.post, "plain:predict", FOREVER) for _ in range(2)]
        time.sleep(1)
        refused = small.post("vae:predict", {"instances": [1]})
        # The event loop is free meanwhile.
        assert small.get("/v1/models/vae").status_code == 200
        assert [w.result().status_code for w in waiting] == [504, 504]
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "1"
    assert "2 requests are in progress" in refused.json()["error"]
    assert small.post("vae:predict", {"instances": [1]}).status_code == 200


def test_bodies_over_the_limit_never_lie_in_memory(small):
    def pieces():
        for _ in range(100):
            yield b"0" * 2**20

    memory_info = psutil.Process(small.process.pid).memory_info
    before, url = memory_info().rss, f"{small.address}/v1/models/vae:predict"
    with calling(lambda: memory_info().rss) as memory:
        answer = requests.post(url, data=pieces(), timeout=60)
    assert answer.status_code == 413, answer.text
    assert (
        f"has {100 * 2**20} bytes or more, and at most 1000" in answer.json()["error"]
    )
    assert max(memory) < before + 20 * 2**20


def test_clients_that_leave_do_no_harm(small):
    host, port = small.address.removeprefix("http://").split(":")
    head = (
        b"POST /v1/models/vae:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
    )
    for sent in (b"POST /v1", b"garbage\r\n\r\n", head, head + b'{"insta'):
        with socket.create_connection((host, int(port))) as client:
            client.sendall(sent)
    time.sleep(0.2)
    assert small.predict("vae", instances=[1])
    assert "Traceback" not in small.log


def test_sigterm_lets_requests_finish(base_dir, tmp_path):
    with (
        running_small(base_dir, tmp_path) as server,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        waiting = pool.submit(server.post, "plain:predict", FOREVER)
        time.sleep(1)
        server.process.terminate()
        assert waiting.result().status_code == 504
        assert server.process.wait(timeout=10) in (0, -15)
        assert "Traceback" not in server.log
