import pytest

from tests.export.running_server import requests

pytestmark = pytest.mark.slow

DEEP = b'{"instances": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"
IMAGE = [[[0, 0, 0]] * 5] * 4  # 4 rows, 5 columns, 3 colors


def named(signature, **body):
    return {"signature_name": signature, **body}


def instance(**changes):
    return {"seed": 1, "label": 0, **changes}


# (model, body, status, what the error says)
MALFORMED = [
    # Not JSON, or not of the form of a request.
    ("vae", b"", 400, "JSON Parse error"),
    ("vae", b"{", 400, "JSON Parse error"),
    ("vae", b'{"instances": [1 2]}', 400, "Expecting ',' delimiter"),
    ("vae", b'{"instances": [1]} more', 400, "Extra data"),
    ("vae", b'{"instances": [1], "instances": [2]}', 400, "'instances' occurs twice"),
    ("vae", b'{"instances": ["\xff"]}', 400, "utf-8"),
    ("vae", DEEP, 400, "maximum recursion depth"),
    ("vae", b"[" * 900_000, 400, "maximum recursion depth"),
    ("vae", b'{"instances": [' + b"1" * 5000 + b"]}", 400, "integer string conversion"),
    ("vae", [1], 400, "must be an object"),
    ("vae", {}, 400, "must have either instances"),
    ("vae", {"instances": [1], "inputs": [1]}, 400, "and not both"),
    ("vae", {"instances": [1], "signature": "sample"}, 400, "Unknown keys"),
    ("vae", named(3, instances=[1]), 400, "signature_name must be a string"),
    ("vae", named("nope", instances=[1]), 400, '"nope" not found in signature def'),
    ("vae", named("__saved_model_init_op", instances=[1]), 400, "not found"),
    # Instances and inputs.
    ("vae", {"instances": []}, 400, "No values in 'instances' array"),
    ("vae", {"instances": 5}, 400, "instances must be a list"),
    ("vae", {"inputs": []}, 400, "1 to 16 examples, got [0]"),
    ("vae", {"inputs": 5}, 400, "seed has the shape [], and the signature takes [?]"),
    ("vae", {"instances": [1] * 17}, 400, "1 to 16 examples, got [17]"),
    ("vae", {"instances": [[1], [1, 2]]}, 400, "seed is ragged"),
    ("vae", {"instances": [1, [1]]}, 400, "seed is ragged"),
    ("vae", {"instances": [{"seed": 1}, 2]}, 400, "instances[1] must be an object"),
    ("pixels", {"instances": [1]}, 400, "an object with the keys label, seed"),
    ("pixels", {"inputs": [1]}, 400, "an object with the keys label, seed"),
    ("pixels", {"instances": [{"seed": 1}]}, 400, "Received: seed"),
    ("pixels", {"inputs": {"seed": [1]}}, 400, "Received: seed"),
    (
        "pixels",
        {"instances": [instance(), instance(top=1)]},
        400,
        "instances[1] must",
    ),
    (
        "pixels",
        {"inputs": {"seed": [1], "label": [0], "top": [1]}},
        400,
        "Received: label, seed, top",
    ),
    (
        "pixels",
        {"inputs": {"seed": [1, 2], "label": [0]}},
        400,
        "same number of examples",
    ),
    # Types.
    ("vae", {"instances": [1.0]}, 400, "Received 1.0"),
    ("vae", b'{"instances": [1e3]}', 400, "must be of type int64. Received 1000.0"),
    ("vae", {"instances": ["1"]}, 400, "Received '1'"),
    ("vae", {"instances": [True]}, 400, "Received True"),
    ("vae", {"instances": [None]}, 400, "Received None"),
    ("vae", {"instances": [{"b64": "AA=="}]}, 400, "Received {'b64'"),
    ("vae", {"instances": [2**63]}, 400, "9223372036854775808"),
    (
        "pixels",
        {"instances": [instance(label=2**31)]},
        400,
        "label must be of type int32",
    ),
    ("vae", b'{"instances": [NaN]}', 400, "NaN is not a JSON number"),
    (
        "vae",
        b'{"signature_name": "decode", "instances": [[0, Infinity]]}',
        400,
        "Infinity is not a JSON number",
    ),
    (
        "vae",
        b'{"signature_name": "decode", "instances": [[0, 1e400]]}',
        400,
        "latent must be of type float32",
    ),
    ("vae", named("decode", instances=[[0, 1e39]]), 400, "Received 1e+39"),
    ("vae", named("decode", instances=[[0, 10**400]]), 400, "Received 1000"),
    ("vae", named("decode", instances=[[0, False]]), 400, "Received False"),
    ("plain", named("text", instances=[5]), 400, "text must be of type string"),
    ("plain", named("text", instances=[{"b64": "_-=="}]), 400, "base64 decode"),
    ("plain", named("text", instances=[{"b64": "A"}]), 400, "base64 decode"),
    ("plain", named("text", instances=["\ud800"]), 400, "not Unicode"),
    ("plain", named("half", instances=[1]), 400, "float16, which JSON"),
    ("plain", named("total", instances=[1, 2]), 400, "inconsistent batch size"),
    (
        "pixels",
        named("log_prob", instances=[{"images": IMAGE[:3], "label": 0}]),
        400,
        "images has the shape [1,3,5,3], and the signature takes [?,4,5,3]",
    ),
    (
        "pixels",
        named("log_prob", inputs={"images": [], "label": []}),
        400,
        "images has the shape [0]",
    ),
    # Which model.
    ("nope", {"instances": [1]}, 404, "Servable not found for request: Latest(nope)"),
    ("..", {"instances": [1]}, 404, "Servable not found"),
    ("vae/versions/7", {"instances": [1]}, 404, "Specific(vae, 7)"),
    ("vae/versions/-1", {"instances": [1]}, 400, "Malformed request"),
    ("vae/versions/" + "9" * 5000, {"instances": [1]}, 400, "Malformed request"),
    ("vae/labels/old", {"instances": [1]}, 400, "Unrecognized servable version label"),
]


@pytest.mark.parametrize("path, body, status, text", MALFORMED)
def test_malformed_requests_get_an_error_that_names_the_fault(
    path, body, status, text, server
):
    answer = server.post(f"{path}:predict", body)
    assert answer.status_code == status, answer.text
    (error,) = answer.json().values()
    assert list(answer.json()) == ["error"]
    assert text in error
    assert "node" not in error and "\n" not in error


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/v1/models/vae:predict", 400),
        ("PUT", "/v1/models/vae:predict", 400),
        ("POST", "/v1/models/vae", 400),
        ("POST", "/v1/models/vae:generate", 400),
        ("POST", "/v1/models/vae:classify", 400),
        ("DELETE", "/v1/models/vae", 400),
        ("GET", "/v1/models/vae/", 400),
        ("GET", "/v1/models/vae/versions/one", 400),
        ("GET", "/v1/models/vae/versions/1/..", 400),
        ("GET", "/v1/models/nope", 404),
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
    request = requests.Request(method, server.address).prepare()
    request.url = server.address + path  # As it is: `requests` would tidy it up.
    answer = server.session.send(request, timeout=60)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]


def test_compressed_bodies_are_refused(server):
    url = f"{server.address}/v1/models/vae:predict"
    answer = server.session.post(
        url, b"\x1f\x8b", headers={"Content-Encoding": "gzip"}, timeout=60
    )
    assert answer.status_code == 400 and "gzip" in answer.json()["error"]
