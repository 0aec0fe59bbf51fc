import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from keras_genimg.likelihoods import Categorical
from keras_genimg.models import PixelCNN
from keras_genimg.serving import write_saved_model, write_warmup
from tests.serving import planted
from tests.subprocesses import ROOT

pytestmark = pytest.mark.slow

FILE = "assets.extra/tf_serving_warmup_requests"
SIGNATURES = {
    "complete",
    "log_prob",
    "sample",
    "sample_png",
    "sample_with_temperature",
    "serving_default",
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("warmup") / "model"
    model = PixelCNN(
        (3, 4, 3), 4, 1, likelihood=Categorical(5), num_classes=4, head_filters=5
    )
    endpoints = model.endpoints(model.image_shape)
    compiled = model.endpoints(model.image_shape, jit_compile=True)
    endpoints["sample_xla"] = compiled["sample"]
    write_saved_model(model, path, endpoints, max_examples=8, verbose=False)
    return path


def requests(path):
    """Return the requests as the protocol buffers of a server read them."""
    records = tf.data.TFRecordDataset(str(path / FILE)).as_numpy_iterator()
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    return [log.predict_log.request for log in logs]


def test_a_record_for_each_signature_and_batch_size(exported, tmp_path):
    path = shutil.copytree(exported, tmp_path / "model")
    assert write_warmup(path, (1, 3, 8, 3)) == 18
    got = requests(path)
    sent = {}
    for request in got:
        inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        (size,) = {len(value) for value in inputs.values()}
        sent[request.model_spec.signature_name, size] = inputs
    assert set(sent) == {(name, size) for name in SIGNATURES for size in (1, 3, 8)}
    assert len(got) == len(sent)
    inputs = sent["complete", 8]
    assert {k: (v.dtype.name, v.shape) for k, v in inputs.items()} == {
        "images": ("int32", (8, 3, 4, 3)),
        "known": ("int32", (8, 3, 4)),
        "label": ("int32", (8,)),
        "seed": ("int64", (8,)),
    }
    assert inputs["label"].max() <= 3
    assert set(np.unique(inputs["known"])) == {0, 1}
    # Run each signature, like a server, on the model that Python loads.
    loaded = tf.saved_model.load(str(path))
    for (name, size), inputs in sent.items():
        given = {key: tf.constant(value) for key, value in inputs.items()}
        outputs = loaded.signatures[name](**given)
        assert all(len(value) == size for value in outputs.values())


def test_records_take_the_place_of_others(exported, tmp_path):
    path = shutil.copytree(exported, tmp_path / "model")
    planted.write_records(path, [b"old"])
    assert write_warmup(path) == 6
    assert len(requests(path)) == 6
    assert write_warmup(path, ()) == 0
    assert requests(path) == []
    names = sorted(file.name for file in (path / "assets.extra").iterdir())
    assert names == ["metadata.json", "tf_serving_warmup_requests"]


@pytest.mark.parametrize(
    "sizes, text",
    [
        ((1, 9), r"at most 8.*Received: batch_sizes=\[1, 9\]"),
        ((0,), "`batch_sizes` of write_warmup.*at least 1"),
        ((1.5,), "`batch_sizes` of write_warmup"),
        (4, "must be integers.*Received: batch_sizes=4"),
    ],
)
def test_batch_sizes_are_checked(exported, sizes, text):
    with pytest.raises(ValueError, match=text):
        write_warmup(exported, sizes)
    assert not (exported / FILE).exists()


def test_only_records_need_the_protocol_buffers(exported, tmp_path):
    """In a process where the extra `serving` is not installed."""
    path = shutil.copytree(exported, tmp_path / "model")
    paths = [tmp_path / "no_records", tmp_path / "records"]
    written = [], [planted.record("sound", seed=[1])]
    for verified, records in zip(paths, written, strict=True):
        planted.save(verified, {"sound": (planted.sound, [planted.SEED])})
        planted.write_records(verified, records)
    script = """
import sys
sys.modules["tensorflow_serving"] = None
from keras_genimg.serving import verify, write_warmup
for path in sys.argv[2:]:
    verify(path)
    print("verified")
write_warmup(sys.argv[1])
"""
    finished = subprocess.run(
        [sys.executable, "-c", script, *map(str, (path, *paths))],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    # The records that are there cannot be read.
    without, with_records, _ = finished.stdout.split("verified\n")
    assert "FAIL" not in without
    assert with_records.count("FAIL") == with_records.count("FAIL  warm-up") == 1
    assert 'pip install ".[serving]"' in with_records
    # Others cannot be written.
    assert finished.returncode == 1
    assert 'pip install ".[serving]"' in finished.stderr
    assert not (path / FILE).exists()
