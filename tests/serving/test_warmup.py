import re
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from genimg_export.saved_graph import SavedGraph
from genimg_export.warmup import WARMUP_FILE, recorded_requests
from keras_genimg.serving import verify, write_warmup
from tests.serving import planted

pytestmark = pytest.mark.slow


def requests(path):
    """Return the requests as the protocol buffers of a server read them."""
    records = tf.data.TFRecordDataset(str(path / WARMUP_FILE)).as_numpy_iterator()
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    return [log.predict_log.request for log in logs]


@pytest.fixture(scope="module")
def warmed(color_export, tmp_path_factory):
    """Path of a SavedModel with records for up to eight examples."""
    path = shutil.copytree(color_export, tmp_path_factory.mktemp("warmed") / "model")
    assert write_warmup(path, (1, 2, 8, 2)) == 17
    return path


@pytest.fixture
def sent(warmed):
    """Return the inputs of the records, by signature and number of examples."""
    found = {}
    for request in requests(warmed):
        inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        (size,) = {len(value) for value in inputs.values()}
        key = request.model_spec.signature_name, size
        assert key not in found
        found[key] = inputs
    return found


def test_a_record_for_each_signature_and_batch_size(sent, color_loaded):
    plain = {name for name in color_loaded.signatures if not name.endswith("_xla")}
    recorded = plain - {"check_sampler"}
    expected = {(name, size) for name in recorded for size in (1, 2, 8)}
    # `complete` takes two examples at most.
    assert set(sent) == expected - {("complete", 8)}
    assert len(sent) == 17


def test_records_have_inputs_that_the_signature_takes(sent):
    inputs = sent["complete", 2]
    assert {k: (v.dtype.name, v.shape) for k, v in inputs.items()} == {
        "images": ("int32", (2, 3, 4, 3)),
        "known": ("int32", (2, 3, 4)),
        "label": ("int32", (2,)),
        "seed": ("int64", (2,)),
    }
    assert inputs["label"].max() <= 2
    assert set(np.unique(inputs["known"])) == {0, 1}


def test_all_records_run(warmed):
    report = verify(warmed, verbose=False)
    assert report.passed, str(report)
    assert report.checks[-1].message == "17 records run"


def test_records_take_the_place_of_others(color_export, tmp_path):
    path = shutil.copytree(color_export, tmp_path / "model")
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
        ((1, 15), r"at most 14.*Received: batch_sizes=\[1, 15\]"),
        ((0,), "`batch_sizes` of write_warmup.*at least 1"),
        ((1.5,), "`batch_sizes` of write_warmup"),
        (4, "must be integers.*Received: batch_sizes=4"),
    ],
)
def test_batch_sizes_are_checked(color_export, sizes, text):
    with pytest.raises(ValueError, match=text):
        write_warmup(color_export, sizes)
    assert not (color_export / WARMUP_FILE).exists()


def test_only_records_need_the_protocol_buffers(tmp_path, monkeypatch):
    """Verification works without the extra `serving` if there are no records."""
    planted.save(tmp_path, {"sound": (planted.sound, [planted.SEED])})
    record = planted.record("sound", seed=[1])
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    assert recorded_requests(SavedGraph(tmp_path)) == []
    hint = r'pip install "\.\[serving\]"'
    with pytest.raises(ImportError, match=hint):
        write_warmup(tmp_path)
    assert not (tmp_path / WARMUP_FILE).exists()
    # Records that are there cannot be read.
    planted.write_records(tmp_path, [record])
    (failed,) = [c for c in verify(tmp_path, verbose=False).checks if not c.passed]
    assert failed.name == "warm-up" and re.search(hint, failed.message)
