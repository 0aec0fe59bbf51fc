from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from genimg_export.saved_graph import SavedGraph
from genimg_export.verifying import CHECKS, Trial
from keras_genimg.generation import sampler
from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import DRAW, VAE, AutoregressiveModel, PixelCNN, PixelRNN
from keras_genimg.serving import Endpoint, Input, read_metadata, verify
from tests.fuzz.own_layers import WrongStep
from tests.serving.some_endpoints import write_endpoints

pytestmark = pytest.mark.slow

SEEDS, LABELS = [5, 6, 7], [0, 2, 1]


def given():
    return {"seed": tf.constant(SEEDS, tf.int64), "label": tf.constant(LABELS)}


def displayed(model, *arguments, **options):
    return model.likelihood.to_display(model.generate(*arguments, **options))


def test_temperature_of_each_example(color_model, color_loaded):
    temperatures = [0.5, 1.0, 2.0]
    drawn = color_loaded.signatures["sample_with_temperature"](
        **given(), temperature=tf.constant(temperatures)
    )
    for index, temperature in enumerate(temperatures):
        options = {"conditions": [LABELS[index]], "temperature": temperature}
        expected = displayed(color_model, 1, seed=SEEDS[index], **options)
        np.testing.assert_array_equal(drawn["images"][index], expected[0])


def test_xla_twins_draw_the_same(color_model, color_loaded):
    signatures = color_loaded.signatures
    plain = {name for name in signatures if not name.endswith("_xla")}
    compiled = {"sample", "sample_with_temperature", "complete", "log_prob"}
    assert plain == compiled | {"serving_default", "sample_png", "check_sampler"}
    assert set(signatures) - plain == {f"{name}_xla" for name in compiled}
    twin = signatures["sample_xla"](**given())
    expected = displayed(color_model, 3, seed=5, conditions=LABELS)
    np.testing.assert_array_equal(twin["images"], expected)


@pytest.fixture
def color_metadata(color_export):
    return read_metadata(color_export)


def test_metadata_describe_the_model(color_metadata):
    assert color_metadata["family"] == "PixelCNN"
    assert color_metadata["image_shape"] == [3, 4, 3]
    assert color_metadata["likelihood"]["config"]["num_values"] == 4


def test_metadata_have_what_was_added_at_export(color_metadata):
    assert color_metadata["training"] == {"test_nats": -12.5}
    assert color_metadata["license"] == "Apache-2.0"


def test_metadata_describe_the_tensors_of_each_signature(color_metadata, color_loaded):
    for name, described in color_metadata["signatures"].items():
        function = color_loaded.signatures[name]
        tensors = {
            "inputs": function.structured_input_signature[1],
            "outputs": function.structured_outputs,
        }
        for kind, named in tensors.items():
            assert described[kind].keys() == named.keys()
            for key, tensor in named.items():
                found = described[kind][key]["dtype"], described[kind][key]["shape"]
                assert found == (tensor.dtype.name, tensor.shape.as_list())


def test_metadata_have_the_limits_of_each_signature(color_metadata):
    assert color_metadata["max_examples"] == 14
    for name, described in color_metadata["signatures"].items():
        completes = name in ("complete", "complete_xla")
        assert described["num_candidates"] == (5 if completes else 1)
        assert described["max_examples"] == (2 if completes else 14)
    seed = color_metadata["signatures"]["sample"]["inputs"]["seed"]
    assert seed["must_be"] == "integers from 0 to 2**62 - 1"


def test_metadata_mark_signatures_for_xla(color_metadata):
    signatures = color_metadata["signatures"].items()
    marked = {name for name, described in signatures if described.get("xla")}
    assert marked == {name for name, _ in signatures if name.endswith("_xla")}


@pytest.mark.parametrize(
    "metadata, text",
    [
        ({"nats": float("nan")}, "JSON compliant"),
        ({"nats": object()}, "not JSON serializable"),
        ({"nats": 1, "signatures": {}}, "must have other keys.*signatures"),
    ],
)
def test_bad_metadata_are_refused_before_anything_is_written(tmp_path, metadata, text):
    model = VAE((3, 4, 1), 2, 4)
    with pytest.raises((ValueError, TypeError), match=text):
        model.export(tmp_path / "1", metadata=metadata, verbose=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "family, sizes", [(PixelCNN, (4, 1)), (VAE, (2, 4)), (DRAW, (2, 4, 2, 2, 2))]
)
def test_half_precision(family, sizes, tmp_path):
    model = family((3, 4, 1), *sizes, dtype="mixed_bfloat16")
    model.export(tmp_path / "1", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    drawn = loaded.signatures["sample"](seed=given()["seed"])["images"]
    np.testing.assert_array_equal(drawn, displayed(model, 3, seed=5))
    graph = SavedGraph(tmp_path / "1")
    assert CHECKS["signatures"](SimpleNamespace(graph=graph))[0] == []


def test_check_sampler_compares_the_sampler_with_the_model(color_export, color_loaded):
    images = np.random.default_rng(1).integers(256, size=(3, 3, 4, 3)).astype("int32")
    check = color_loaded.signatures["check_sampler"]
    outputs = check(images=tf.constant(images), label=tf.constant(LABELS))
    difference = outputs["largest_difference"].numpy()
    assert difference.shape == (3,) and difference.dtype == "float32"
    assert 0 < difference.max() <= 1e-4
    described = read_metadata(color_export)["signatures"]["check_sampler"]
    assert described["warm_up"] is False
    assert described["outputs"]["largest_difference"]["at_most"] == 1e-4


def wrong_model():
    images = keras.Input((3, 4, 1))
    x = WrongStep(name="forgetful")(MaskedConv2D(4, 3, "A")(images))
    return AutoregressiveModel(images, MaskedConv2D(1, 1, "B")(x))


def test_export_refuses_a_sampler_that_does_not_compute_the_model(tmp_path):
    with pytest.raises(ValueError, match="WrongStep 'forgetful'"):
        wrong_model().export(tmp_path / "model", verbose=False)
    assert list(tmp_path.iterdir()) == []
    wrong_model().export(tmp_path / "model", method="fixed_point", verbose=False)
    assert "check_sampler" not in read_metadata(tmp_path / "model")["signatures"]


def test_verify_runs_check_sampler(tmp_path, monkeypatch):
    # The check of `endpoints` would refuse the model.
    monkeypatch.setattr(sampler, "check_difference", lambda *arguments: None)
    write_endpoints(wrong_model(), tmp_path / "wrong", "sample", "check_sampler")
    trial = Trial(tmp_path / "wrong", timeout=100)
    (fault,), _ = CHECKS["limits"](trial)
    assert "largest_difference of check_sampler is" in fault
    model = PixelRNN((3, 4, 1), 4, 1, layer="row", dtype="mixed_bfloat16")
    write_endpoints(model, tmp_path / "half", "sample", "check_sampler")
    report = verify(tmp_path / "half", verbose=False)
    assert report.passed, report


def test_compiled_functions_are_called_with_few_numbers_of_examples():
    def run(x):
        return {"size": tf.fill((tf.shape(x)[0],), tf.shape(x)[0]), "twice": 2 * x}

    given = Input(tf.TensorSpec((None, 2), tf.float32))
    endpoint = Endpoint(run, {"x": given}, jit_compile=True)
    function = endpoint.concrete(max_examples=6)
    sizes = []
    for count in range(1, 7):
        x = np.random.default_rng(count).normal(size=(count, 2)).astype("float32")
        outputs = function(x=tf.constant(x))
        np.testing.assert_array_equal(outputs["twice"], 2 * x)
        assert outputs["size"].shape == (count,)
        sizes.append(int(outputs["size"][0]))
    assert sizes == [1, 2, 4, 4, 6, 6]


def test_weights_are_stored_once(color_model, color_export, tmp_path):
    recurrent = PixelRNN((3, 4, 1), 12, 1)
    write_endpoints(recurrent, tmp_path / "rnn", "sample", "log_prob")
    assert not SavedGraph(tmp_path / "rnn").queues()
    for model, path in (color_model, color_export), (recurrent, tmp_path / "rnn"):
        stored = sum(f.stat().st_size for f in (path / "variables").glob("*.data-*"))
        weights = sum(w.numpy().nbytes for w in model.weights)
        assert weights <= stored < 1.5 * weights + 20_000


def test_never_overwrites_and_leaves_nothing_half_written(color_export, tmp_path):
    model, path = VAE((3, 4, 1), 2, 4), color_export
    before = sorted(p.name for p in path.parent.iterdir())
    file = tmp_path / "file"
    file.touch()
    for existing in (path, tmp_path, file):
        with pytest.raises(ValueError, match="path that exists.*Received"):
            model.export(existing)
    with pytest.raises(OSError):
        model.export(file / "below_a_file", verbose=False)
    assert sorted(p.name for p in path.parent.iterdir()) == before
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_is_removed(tmp_path, monkeypatch):
    def fail(module, path, *_):
        (tmp_path / path).mkdir()
        raise OSError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        VAE((3, 4, 1), 2, 4).export(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_saved_model_has_a_format_of_keras(tmp_path):
    """It is the default of Keras too."""
    model = VAE((3, 4, 1), 2, 4)
    model.export(tmp_path / "model", format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    drawn = loaded.signatures["serving_default"](seed=given()["seed"])
    np.testing.assert_array_equal(drawn["images"], displayed(model, 3, seed=5))


def test_other_formats_go_to_keras(color_model, tmp_path):
    with pytest.raises(ValueError, match="format"):
        color_model.export(tmp_path / "model", format="no such format")
