"""The SHA-256 in the metadata, by which an export and its copies are known."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from genimg_export.metadata import METADATA_FILE
from genimg_export.saved_graph import SavedGraph
from genimg_export.verifying import TEXT_LENGTH, check_content, verify
from genimg_export.warmup import WARMUP_FILE
from keras_genimg.models import VAE
from keras_genimg.serving import Endpoint, Input, read_metadata, write_saved_model
from tests.serving.some_endpoints import write_endpoints

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("content") / "1"
    write_endpoints(VAE((3, 4, 1), 2, 3), path, "decode", "sample", batching=True)
    (path / "assets").mkdir(exist_ok=True)
    return path


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "copy")


def checked(path):
    """Return the faults and the message of the check alone."""
    return check_content(SimpleNamespace(graph=SavedGraph(path)))


def change_a_weight(path):
    """Change one weight in a checkpoint that is valid, with its checksums."""
    prefix = str(path / "variables" / "variables")
    reader = tf.train.load_checkpoint(prefix)
    names = sorted(reader.get_variable_to_shape_map())
    values = [reader.get_tensor(name) for name in names]
    changed = max(range(len(names)), key=lambda i: np.size(values[i]))
    values[changed].flat[0] += 0.125
    tensors = [tf.constant(value) for value in values]
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=tensors,
    )


def change_an_attribute(path):
    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    nodes = [node for function in functions for node in function.node_def]
    queue = next(node for node in nodes if node.op == "BatchFunction")
    queue.attr["batch_timeout_micros"].i += 1
    file.write_bytes(saved.SerializeToString())


def change_metadata(path, change):
    metadata = read_metadata(path)
    change(metadata)
    (path / METADATA_FILE).write_text(json.dumps(metadata, indent=3))


def widen_the_seeds(path):
    def change(metadata):
        metadata["signatures"]["sample"]["inputs"]["seed"]["high"] += 1

    change_metadata(path, change)


def add_a_license(path):
    change_metadata(path, lambda metadata: metadata.update(license="CC0"))


CHANGES = {
    "a weight": change_a_weight,
    "an attribute of the graph": change_an_attribute,
    "a range": widen_the_seeds,
    "an entry that a user may give": add_a_license,
    "a new file": lambda path: (path / "assets" / "words.txt").write_text("one\n"),
    "a lost file": lambda path: (path / "variables" / "variables.index").unlink(),
    "the hash": lambda path: change_metadata(
        path, lambda metadata: metadata.update(sha256="0" * 64)
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_refused(exported, copy, what):
    CHANGES[what](copy)
    ((fault,), _) = checked(copy)
    expected = read_metadata(copy)["sha256"]
    assert f"metadata.json expects {expected}: " in fault
    assert len(fault) <= TEXT_LENGTH and fault.endswith("or export the model again")


def test_copies_and_what_is_no_content_pass(exported, copy):
    change_metadata(copy, lambda metadata: None)  # It changes the layout.
    (copy / WARMUP_FILE).write_bytes(b"")
    (copy / "saved_model.pb").touch()
    for path in (exported, copy):
        faults, message = checked(path)
        assert not faults
        assert message == f"SHA-256 {read_metadata(exported)['sha256']}, as exported"


def test_exports_of_earlier_versions_pass_with_a_note(copy):
    change_metadata(copy, lambda metadata: metadata.pop("sha256"))
    found = set()
    for _ in range(2):
        faults, message = checked(copy)
        assert not faults
        assert message.endswith(", not compared: metadata.json has no sha256")
        found.add(message)
        change_a_weight(copy)
    assert len(found) == 2  # It shows the change to who knows the hash of before.


def test_only_the_hash_tells_a_changed_weight(exported, copy):
    """The checkpoint is valid, and all signatures run."""
    change_a_weight(copy)
    before, after = (tf.saved_model.load(str(p)).weights for p in (exported, copy))
    pairs = zip(before, after, strict=True)
    assert sum(np.sum(one.numpy() != other.numpy()) for one, other in pairs) == 1
    report = verify(copy, verbose=False)
    assert [check.name for check in report.checks if not check.passed] == ["content"]
    assert verify(exported, verbose=False).passed


def test_gradients_are_not_looked_up_by_the_numbers_of_another_process(tmp_path):
    """In this process, they are registered."""

    @tf.custom_gradient
    def doubled(value):
        return 2 * value, lambda upstream: 5 * upstream

    given = Input(tf.TensorSpec((None,), tf.float32))
    run = Endpoint(lambda x: {"twice": doubled(x)}, {"x": given})
    model = VAE((3, 4, 1), 2, 3)
    endpoints = {"twice": run, "sample": model.endpoints(model.image_shape)["sample"]}
    write_saved_model(model, tmp_path / "1", endpoints, 8, verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    x = tf.constant([1.0, 2.0])
    with pytest.raises(LookupError, match="No gradient defined"):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loaded.signatures["twice"](x=x)["twice"]
        tape.gradient(value, x)
