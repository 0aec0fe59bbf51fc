import base64
import sys

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from export import serve

pytestmark = pytest.mark.slow


def test_listens_on_loopback_only(server):
    assert server.address.startswith("http://127.0.0.1:")


def test_both_formats_draw_what_generate_draws(drawn, server):
    seeds, labels = [7, 2**62 - 1, 7], [0, 2, 1]
    expected = drawn("pixels", seeds, conditions=np.array(labels))
    instances = [{"seed": s, "label": c} for s, c in zip(seeds, labels, strict=True)]
    columns = {"seed": seeds, "label": labels}
    for signature in ("sample", "serving_default"):
        ask = {"signature_name": signature}
        for reply in (
            server.predict("pixels", instances=instances, **ask),
            server.predict("pixels", inputs=columns, **ask),
            server.predict("pixels/versions/1", inputs=columns, **ask),
        ):
            np.testing.assert_array_equal(reply, expected)


def test_more_than_one_output(base_dir, drawn, server):
    images = drawn("pixels", [1, 2], conditions=np.array([0, 0]))
    columns = {"images": images.tolist(), "label": [0, 0]}
    instances = [{"images": image.tolist(), "label": 0} for image in images]
    ask = {"signature_name": "log_prob"}
    outputs = server.predict("pixels", inputs=columns, **ask)
    predictions = server.predict("pixels", instances=instances, **ask)
    assert list(outputs) == ["bits_per_dim", "log_prob"]
    assert predictions == [
        {name: values[i] for name, values in outputs.items()} for i in range(2)
    ]
    loaded = tf.saved_model.load(str(base_dir / "pixels" / "1"))
    expected = loaded.signatures["log_prob"](
        images=tf.constant(images, tf.int32), label=tf.zeros(2, tf.int32)
    )
    for name, values in expected.items():
        np.testing.assert_array_equal(np.float32(outputs[name]), values)


def test_every_type_comes_back_as_it_was_sent(server):
    instance = {
        "bool_value": True,
        "string_value": 'ä\n"\\',
        "float32_value": float(np.float32(0.1)),
        "float64_value": 5e-324,
        "int8_value": -128,
        "int16_value": 32767,
        "int32_value": -(2**31),
        "int64_value": 9007199254740993,
        "uint8_value": 255,
        "uint16_value": 65535,
        "uint32_value": 2**32 - 1,
        "uint64_value": 2**64 - 1,
    }
    instances = [instance, instance]
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
    "arguments, text",
    [
        ((), "one of the arguments --base-dir --model is required"),
        (("--base-dir", "nowhere"), "nowhere"),
        (("--base-dir", ".", "--label", "stable=1"), "stable=1 is not NAME:LABEL"),
        (("--base-dir", ".", "--timeout", "0"), "float above 0"),
        (("--model", "models"), "models is not NAME=DIR"),
        (("--model", "a=nowhere"), "there is no directory nowhere"),
    ],
)
def test_wrong_command_lines_are_refused(arguments, text, run_command):
    code, _, errors = run_command(serve, *arguments)
    assert text in f"{code}{errors}"


def test_says_how_to_install_what_is_missing(run_command, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, _, _ = run_command(serve, "--base-dir", ".")
    assert "uvicorn" in code and 'pip install ".[serving]"' in code
