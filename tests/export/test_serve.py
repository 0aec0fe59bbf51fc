import base64
import sys

import numpy as np
import pytest
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from export import serve
from tests.export.plain_model import TYPES

pytestmark = pytest.mark.slow


def test_listens_on_loopback_only(server):
    assert server.address.startswith("http://127.0.0.1:")


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


def test_status_metadata_and_list(server, base_dir):
    status = {"error_code": "OK", "error_message": ""}
    available = {"version": "1", "state": "AVAILABLE", "status": status}
    for path in ("vae", "vae/versions/1", "vae/labels/stable"):
        reply = server.get(f"/v1/models/{path}").json()
        assert reply == {"model_version_status": [available]}
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
        reply = server.get(f"/v1/models/{path}/assets/metadata").json()
        assert reply["family"] == "VAE"
    listed = {m["name"]: m for m in server.get("/v1/models").json()["models"]}
    assert {"draw", "pixels", "plain", "vae"} <= set(listed)
    labels = {"stable": "1"}
    assert listed["vae"] == {"name": "vae", "versions": [available], "labels": labels}
    answer = server.get("/v1/models/plain/assets/metadata")
    assert answer.status_code == 404 and "metadata.json" in answer.json()["error"]


@pytest.mark.parametrize(
    "arguments, code, text",
    [
        ((), 2, "one of the arguments --base-dir --model is required"),
        (("--base-dir", "nowhere"), 1, "nowhere"),
        (("--base-dir", ".", "--label", "stable=1"), 2, "stable=1 is not NAME:LABEL"),
        (("--base-dir", ".", "--timeout", "0"), 2, "float above 0"),
        (("--model", "models"), 2, "models is not NAME=DIR"),
        (("--model", "a=nowhere"), 1, "there is no directory nowhere"),
    ],
)
def test_wrong_command_lines_are_refused(arguments, code, text, run_command):
    assert text in run_command(serve, *arguments, code=code)[1]


def test_says_how_to_install_what_is_missing(run_command, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    _, errors = run_command(serve, "--base-dir", ".", code=1)
    assert "uvicorn" in errors and 'pip install ".[serving]"' in errors
