import pytest

from tests.export.running_server import send_as_is

pytestmark = pytest.mark.slow

DEEP = b'{"instances": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"
IMAGE = [[[0, 0, 0]] * 5] * 4  # 4 rows, 5 columns, 3 colors


def named(signature, **body):
    return {"signature_name": signature, **body}


# What the error says, by model and body. The status is 400, or 404.
MALFORMED = {
    "vae": [
        # Not JSON, or not of the form of a request.
        (b'{"instances": [1]} more', "Extra data"),
        (b'{"instances": [1], "instances": [2]}', "'instances' occurs twice"),
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
            {"inputs": {"seed": [1], "label": [0], "top": [1]}},
            "Received: label, seed, top",
        ),
        ({"inputs": {"seed": [1, 2], "label": [0]}}, "same number of examples"),
        ({"instances": [{"seed": 1, "label": 2**31}]}, "label must be of type int32"),
        (
            named("log_prob", instances=[{"images": IMAGE[:3], "label": 0}]),
            "images has the shape [1,3,5,3], and the signature takes [?,4,5,3]",
        ),
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
