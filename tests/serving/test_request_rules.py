import json

import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.models import VAE, PixelCNN
from keras_genimg.serving import VerificationError, publish
from keras_genimg.serving.request_rules import FILE, changed_input, write_rules

QUIET = {"verify": False, "verbose": False, "batch_sizes": ()}


def small(shape=(4, 5, 1)):
    return PixelCNN(shape, 2, 1, first_kernel_size=3)


def read(base_dir, name="model"):
    return json.loads((base_dir / name / FILE).read_text())


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory):
    """Two versions of one model; the first flags bad examples, and takes more."""
    base_dir = tmp_path_factory.mktemp("served")
    model = small()
    publish(model, base_dir, "model", max_examples=8, bad_examples="flag", **QUIET)
    publish(model, base_dir, "model", max_examples=6, num_candidates=2, **QUIET)
    return base_dir


def test_rules_describe_each_version(base_dir):
    versions = read(base_dir)["versions"]
    assert set(versions) == {"1", "2"}
    first, second = versions["1"], versions["2"]
    assert first.keys() == second.keys() >= {"sample", "serving_default", "complete"}
    assert first["sample"] == {
        "inputs": {"seed": {"dtype": "int64", "shape": [None]}},
        "max_examples": 8,
    }
    seed = second["serving_default"]["inputs"]["seed"]
    assert (seed["low"], seed["high"]) == (0, 2**62 - 1)
    images = second["complete"]["inputs"]["images"]
    assert (images["dtype"], images["shape"]) == ("int32", [None, 4, 5, 1])
    assert (images["low"], images["high"]) == (0, 255)
    assert second["complete"]["max_examples"] == 3
    temperature = second["sample_with_temperature"]["inputs"]["temperature"]
    assert (temperature["low"], temperature["low_open"]) == (0, True)
    assert temperature.get("high") is None


def test_requests_of_any_version_follow_the_strictest(base_dir):
    merged = read(base_dir)["any_version"]
    assert merged["sample"]["max_examples"] == 6
    assert merged["complete"]["max_examples"] == 3
    assert merged["complete"]["inputs"]["images"]["high"] == 255
    assert merged["sample_with_temperature"]["inputs"]["temperature"]["low_open"]


def test_removed_versions_are_left_out(tmp_path):
    model = small()
    for _ in range(3):
        publish(model, tmp_path, "model", keep=2, **QUIET)
    assert set(read(tmp_path)["versions"]) == {"2", "3"}


def test_other_inputs_need_another_name(base_dir, tmp_path):
    before = (base_dir / "model" / FILE).read_bytes()
    text = (
        r"input 'images' of 'check_sampler' is int32 \[None, 5, 5, 1\], and was int32"
    )
    with pytest.raises(ValueError, match=text):
        publish(small((5, 5, 1)), base_dir, "model", **QUIET)
    assert (base_dir / "model" / FILE).read_bytes() == before
    assert not (base_dir / "model" / "3").exists()

    publish(VAE((3, 3, 1), 2, 3), tmp_path, "model", **QUIET)
    publish(VAE((4, 3, 1), 2, 3), tmp_path, "model", allow_changed_inputs=True, **QUIET)
    rules = read(tmp_path)
    assert rules["any_version"] is None
    shapes = [
        rules["versions"][version]["encode"]["inputs"]["images"]["shape"]
        for version in ("1", "2")
    ]
    assert shapes == [[None, 3, 3, 1], [None, 4, 3, 1]]


def test_saved_models_without_metadata_are_described_by_their_graph(tmp_path):
    module = tf.Module()
    spec = tf.TensorSpec((None, 2), tf.float32, "x")
    module.double = tf.function(lambda x: {"y": 2 * x}, input_signature=[spec])
    tf.saved_model.save(
        module, str(tmp_path / "saved"), signatures={"sample": module.double}
    )
    publish(tmp_path / "saved", tmp_path, "model", **QUIET)
    rule = read(tmp_path)["any_version"]["sample"]
    assert rule["max_examples"] is None
    assert rule["inputs"] == {"x": {"dtype": "float32", "shape": [None, 2]}}


def test_a_broken_saved_model_fails_its_verification(tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"garbage")
    options = {**QUIET, "verify": True}
    with pytest.raises(VerificationError):
        publish(tmp_path / "saved", tmp_path, "model", **options)
    assert not (tmp_path / "model" / FILE).exists()


def test_inputs_of_unknown_rank_are_refused(tmp_path):
    module = tf.Module()
    spec = tf.TensorSpec(None, tf.float32, "x")
    module.same = tf.function(lambda x: {"y": x}, input_signature=[spec])
    tf.saved_model.save(
        module, str(tmp_path / "saved"), signatures={"sample": module.same}
    )
    with pytest.raises(ValueError, match="known number of axes.*'x' of 'sample'"):
        publish(tmp_path / "saved", tmp_path, "model", **QUIET)


@pytest.mark.parametrize(
    "low, open_, merged", [(0, True, (0, True)), (1, False, (1, False))]
)
def test_the_narrower_range_counts(tmp_path, low, open_, merged):
    def rules(**limits):
        given = {"dtype": "float32", "shape": [None], "high": None, **limits}
        return {"sample": {"inputs": {"x": given}, "max_examples": None}}

    wide = rules(low=0, low_open=False)
    narrow = rules(low=low, low_open=open_)
    assert changed_input(wide, narrow) is None
    for versions in ({1: wide, 2: narrow}, {1: narrow, 2: wide}):
        write_rules(tmp_path, versions)
        found = json.loads((tmp_path / FILE).read_text())["any_version"]["sample"]
        given = found["inputs"]["x"]
        assert (given["low"], given["low_open"]) == merged
        assert found["max_examples"] is None and "high" not in given


def test_a_new_signature_is_no_change(tmp_path):
    seed = {"seed": {"dtype": "int64", "shape": [None]}}
    one = {"sample": {"inputs": seed, "max_examples": 2}}
    both = {**one, "encode": {"inputs": seed, "max_examples": 1}}
    write_rules(tmp_path, {1: one, 2: both})
    merged = json.loads((tmp_path / FILE).read_text())["any_version"]
    assert merged == both
    np.testing.assert_equal(changed_input(one, both), None)
    other = {"sample": {"inputs": {}, "max_examples": 2}}
    assert "is none, and was int64 [None]" in str(changed_input(other, one))
