import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from genimg_export.metadata import METADATA_FILE
from genimg_export.probes import random_inputs
from genimg_export.saved_graph import SavedGraph, Signature
from genimg_export.verifying import CHECKS, Trial
from genimg_export.warmup import recorded_requests
from keras_genimg.models import VAE
from keras_genimg.serving import verify, write_saved_model
from tests.conformance import registry
from tests.seldom import weekly_but
from tests.serving import planted
from tests.serving.some_endpoints import write_endpoints

pytestmark = pytest.mark.slow


def failures(path, **options):
    """Verify a SavedModel; return texts of the failed checks by name."""
    report = verify(path, verbose=False, **options)
    verdict = "can be served" if report.passed else "must not be served"
    assert str(report).endswith(f"{path} {verdict}")
    return {c.name: c.message for c in report.checks if not c.passed}


# Verified as exported, like an autoregressive model in test_warmup.py. The others are
# verified with endpoints that have all graphs of a model: `check_sampler` has the
# sampler's step and the forward pass, `elbo` the encoder and the decoder.
WHOLE = ("VAE_full_normal", "DRAW_whole")
OFTEN = (
    "PixelCNN",
    "GatedPixelCNN_classes",
    "MultiScalePixelRNN",
    "PixelRNN_diagonal",
    "PixelRNN_row",
)
GRAPHS = ("sample", "check_sampler", "enlarge", "elbo")
TWINS = {
    "PixelRNN_row": ("sample", "log_prob"),
    "VAE": ("sample", "elbo"),
    "DRAW": ("sample", "elbo"),
}


@pytest.mark.parametrize("name", weekly_but(registry.MODELS, *WHOLE, *OFTEN))
def test_every_family_passes(name, tmp_path):
    model, path = registry.MODELS[name].make(), tmp_path / "model"
    endpoints = {
        key: endpoint
        for key, endpoint in model.endpoints(model.image_shape).items()
        if name in WHOLE or key in GRAPHS
    }
    options = {"max_examples": 256}
    if name in TWINS:
        compiled = model.endpoints(model.image_shape, jit_compile=True)
        endpoints.update({f"{key}_xla": compiled[key] for key in TWINS[name]})
        options = {"max_examples": 2, "batching": True}
    write_saved_model(model, path, endpoints, verbose=False, **options)
    report = verify(path, verbose=False)
    assert report.passed, str(report)
    files = report.checks[0].message
    assert ("; not run because of XLA: " in files) == (name in TWINS)


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """Return what is found in a SavedModel of signatures with a fault each."""
    path = tmp_path_factory.mktemp("planted") / "model"
    planted.save_with_faults(path)
    with pytest.MonkeyPatch.context() as patch:
        # The kernels that crash. TensorFlow takes them by itself on newer CPUs only.
        patch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
        return failures(path)


@pytest.mark.parametrize(
    "check, text",
    [
        ("graph", "calls_python needs more than a server has: EagerPyFunc"),
        ("graph", "has_xla_op needs more than a server has: XlaSort"),
        ("graph", "must_be_compiled needs more than a server has: _XlaMustCompile"),
        ("session", "calls_python gives INVALID_ARGUMENT ValueError: Could not find"),
        ("examples", "uses_first_seed: example 1 alone: numbers has other values"),
        ("examples", "mean_of_batch: numbers has the shape [5] for 3 examples"),
        ("examples", "turned_round: numbers has the shape [5, 3] for 3 examples"),
        ("signatures", "mean_of_batch: output numbers has no batch as its first axis"),
        ("signatures", "scalar: input count has no batch as its first axis: ()"),
        ("signatures", "half_precision: output numbers is float16"),
        ("signatures", "output text is binary, so its name must end in _bytes"),
        ("wrong shapes", "convolution: images of shape [0] gives CRASH the process"),
        ("wrong shapes", "SIGABRT: Check failed: index"),
        ("wrong shapes", "any_width: images of shape [2, 3, 4, 2] is accepted"),
        ("wrong shapes", "were not run, since one ended the process"),
    ],
)
def test_planted_faults_are_told(faults, check, text):
    assert text in faults[check]


def test_nothing_else_is_told(faults):
    assert set(faults) == {"graph", "session", "examples", "signatures", "wrong shapes"}
    assert not any("sound" in message for message in faults.values())


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "sound"
    planted.save(path, {"sound": (planted.sound, [planted.SEED])})
    return path


def test_a_tie_that_falls_the_other_way_is_no_fault(tmp_path):
    """One image in many may change with the size of the batch, not one in each try."""
    path = tmp_path / "tie"
    inputs = {"seed": tf.TensorSpec((None,), tf.int64, "seed")}
    drawn = random_inputs(Signature("tie", inputs, {}, {}), batch_size=6)["seed"]

    def tie(seed):
        alone = tf.size(seed) == 1
        changed = alone & (seed[:, None] == int(drawn[1]))
        return {"numbers": planted.noise(seed) + tf.cast(changed, tf.int32)}

    planted.save(path, {"tie": (tie, [planted.SEED])})
    trial = Trial(path, timeout=100)
    (requests,) = trial.right
    batch, *alone = [each.outcome.outputs["numbers"] for each in requests[:4]]
    assert [(batch[i] == alone[i]).all() for i in range(3)] == [True, False, True]
    faults, message = CHECKS["examples"](trial)
    assert not faults and "1 signatures return the same" in message


def test_what_takes_too_long_fails(sound):
    found = failures(sound, timeout=0.05)
    assert "it took too long" in found["session"]


def test_no_saved_model(tmp_path):
    assert "saved_model.pb" in failures(tmp_path)["files"]
    (tmp_path / "saved_model.pb").write_bytes(b"\xff no protocol buffer")
    assert "DecodeError" in failures(tmp_path)["files"]


def test_unknown_op(tmp_path):
    """A server does not know the ops of libraries that it does not load."""
    text = planted.text_without_bytes
    planted.save(tmp_path / "model", {"text": (text, [planted.SEED])})
    file = tmp_path / "model" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    nodes = [node for function in functions for node in function.node_def]
    next(n for n in nodes if n.op == "EnsureShape").op = "MyEnsureShape"
    file.write_bytes(saved.SerializeToString())
    found = failures(tmp_path / "model")
    assert set(found) == {"signatures", "session"}
    assert "it does not load: NOT_FOUND Op type not registered" in found["session"]


@pytest.mark.parametrize(
    "op", ["PyFunc", "PyFuncStateless", "EagerPyFunc", "AudioMicrofrontend", "XlaSort"]
)
def test_ops_that_python_has_and_a_server_lacks(tmp_path, op):
    text = planted.text_without_bytes
    planted.save(tmp_path, {"text": (text, [planted.SEED])})
    graph = SavedGraph(tmp_path)
    (signature, *_) = graph.plain_signatures
    assert graph.refused_parts(signature) == []
    nodes = [each for f in graph._functions.values() for each in f.node_def]
    next(node for node in nodes if node.op == "AsString").op = op
    assert graph.refused_parts(signature) == [op]


def refused(seed):
    check = tf.debugging.Assert(tf.reduce_all((seed >= 3) & (seed <= 7)), ["range"])
    with tf.control_dependencies([check]):
        return {"numbers": planted.noise(seed)}


def test_values_at_limits_are_probed(tmp_path):
    """A signature for each function and range in the metadata."""
    cases = {
        (refused, 3, 7): [],
        (refused, 4, 6): ["seed of 3 is accepted", "seed of 7 is accepted"],
        (refused, 3, None): [],
        (refused, 2, 7): ["seed of 2 gives INVALID_ARGUMENT"],
        (refused, 3, 8): ["seed of 8 gives INVALID_ARGUMENT"],
        (planted.sound, 0, 2**62 - 1): [f"seed of {2**62} is accepted"],
    }
    functions, described, expected = {}, {}, {}
    for (function, low, high), texts in cases.items():
        name = f"{function.__name__}_{low}_{high}"
        functions[name] = function, [planted.SEED]
        described[name] = {"inputs": {"seed": {"low": low, "high": high}}}
        expected[name] = texts
    path = tmp_path / "model"
    planted.save(path, functions)
    (path / "assets.extra").mkdir()
    (path / METADATA_FILE).write_text(json.dumps({"signatures": described}))
    trial = Trial(path, timeout=100)
    found, _ = CHECKS["ranges"](trial)
    for name, texts in expected.items():
        lines = [line for line in found if line.startswith(f"{name}: ")]
        assert bool(lines) == bool(texts)
        for text in texts:
            assert any(text in line for line in lines)


def test_a_lone_input_whose_sizes_are_all_open(tmp_path):
    """Other numbers of examples were taken for wrong shapes."""
    spec = tf.TensorSpec((None, None), tf.int32, name="counts")

    def total(counts):
        return {"total": tf.reduce_sum(planted.not_empty(counts, spec), axis=1)}

    planted.save(tmp_path / "model", {"total": (total, [spec])})
    report = verify(tmp_path / "model", verbose=False)
    assert report.passed, str(report)


def test_what_only_the_loader_of_python_accepts(tmp_path):
    spec = tf.TensorSpec((None, 16), tf.float32, name="latent")
    decoder = keras.Sequential([keras.Input((16,)), keras.layers.Dense(16)])

    def decode(latent):
        return {"images": decoder(tf.ensure_shape(latent, spec.shape))}

    path = tmp_path / "layers"
    planted.save(path, {"decode": (decode, [spec])}, decoder.layers)
    tf.saved_model.load(str(path))
    found = failures(path)
    assert "Could not find variable" in found["session"]


def test_damaged_weights(tmp_path):
    write_endpoints(VAE((4, 4, 1), 2, 4), tmp_path / "model", "sample")
    (data,) = (tmp_path / "model" / "variables").glob("*.data-*")
    data.write_bytes(data.read_bytes()[:-400])
    found = failures(tmp_path / "model")
    assert "it does not load" in found["session"]


def test_warm_up_records_are_run(sound):
    good = planted.record("sound", seed=np.array([1, 2]))
    planted.write_records(sound, [good, good])
    report = verify(sound, verbose=False)
    assert report.passed, str(report)
    assert report.checks[-1].message == "2 records run"
    empty = planted.record("sound", seed=np.zeros(0, "int64"))
    planted.write_records(sound, [good, empty])
    found = failures(sound)
    assert set(found) == {"warm-up"}
    assert "record 1, for sound, gives INVALID_ARGUMENT" in found["warm-up"]
    assert "no examples" in found["warm-up"]


@pytest.mark.parametrize(
    "records, text",
    [
        ([planted.record("other", seed=[1])], "no signature 'other'"),
        ([planted.record("sound", other=[1])], "takes ['seed'], not ['other']"),
        ([planted.record("", seed=[1])], "no signature 'serving_default'"),
        ([b"no protocol buffer"], "record 0 is broken"),
        ([b""], "not the log of a predict request"),
        ([planted.record("sound", seed=[1])] * 1001, "1001 records, and a server"),
    ],
)
def test_records_that_keep_a_server_from_starting(sound, records, text):
    planted.write_records(sound, records)
    with pytest.raises(ValueError, match=re.escape(text)):
        recorded_requests(SavedGraph(sound))


def test_broken_files_of_records(sound):
    file = planted.write_records(sound, [planted.record("sound", seed=[1])])
    whole = file.read_bytes()
    for broken in (whole[:-3], b"no TFRecord file at all"):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match="it is not a TFRecord file"):
            recorded_requests(SavedGraph(sound))
    found = failures(sound)
    assert set(found) == {"warm-up"}
    file.write_bytes(b"")
    assert recorded_requests(SavedGraph(sound)) == []
