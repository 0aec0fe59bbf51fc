import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_genimg.likelihoods import Categorical
from keras_genimg.models import VAE, PixelCNN, PixelRNN
from keras_genimg.serving import write_saved_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return a class-conditional color model and its SavedModel."""
    path = tmp_path_factory.mktemp("export") / "model"
    model = PixelCNN(
        (3, 4, 3), 4, 1, likelihood=Categorical(5), num_classes=4, head_filters=5
    )
    model.export(path, max_examples=8, batching=True, verbose=False)
    return model, path


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported[1]))


@pytest.fixture(scope="module")
def session(exported):
    """Return a TensorFlow 1 session of the SavedModel, and its signatures."""
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        path = str(exported[1])
        meta = tf.compat.v1.saved_model.load(session, ["serve"], path)
    yield session, meta.signature_def
    session.close()


def test_log_prob_of_displayable_images(exported, loaded):
    model, _ = exported
    labels = np.array([3, 0], "int32")
    images = model.generate(2, seed=0, conditions=labels)
    served = loaded.signatures["log_prob"](
        images=model.likelihood.to_display(images).astype("int32"), label=labels
    )
    inputs = {"images": images, "label": labels}
    np.testing.assert_allclose(served["log_prob"], model.log_prob(inputs), rtol=1e-5)
    np.testing.assert_allclose(
        served["bits_per_dim"], model.bits_per_dim(inputs), rtol=1e-5
    )


@pytest.mark.parametrize(
    "name, inputs, text",
    [
        ("sample", {"seed": [-1], "label": [0]}, "seed must be integers from 0"),
        ("sample", {"seed": [1], "label": [4]}, "label must be integers from 0 to 3"),
        ("sample", {"seed": [], "label": []}, "1 to 8 examples"),
        ("sample", {"seed": range(9), "label": [0] * 9}, "1 to 8 examples"),
        ("sample", {"seed": [1, 2], "label": [0]}, "same number of examples"),
        (
            "log_prob",
            {"images": np.full((1, 3, 4, 3), 256), "label": [0]},
            "from 0 to 255",
        ),
        ("log_prob", {"images": np.full((1, 4, 3, 3), 0), "label": [0]}, "hape"),
    ],
)
def test_bad_requests_get_invalid_argument(session, name, inputs, text):
    """As a session runs them: shapes unchecked until the graph checks them."""
    session, signatures = session
    signature = signatures[name]
    feed = {
        signature.inputs[key].name: np.asarray(
            value, tf.as_dtype(signature.inputs[key].dtype).as_numpy_dtype
        )
        for key, value in inputs.items()
    }
    outputs = {k: v.name for k, v in signature.outputs.items()}
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match=text):
        session.run(outputs, feed)


def test_graph_is_plain_and_weights_are_stored_once(exported, tmp_path):
    recurrent = PixelRNN((3, 4, 1), 12, 1)
    endpoints = recurrent.endpoints(recurrent.image_shape)
    endpoints = {name: endpoints[name] for name in ("sample", "log_prob")}
    write_saved_model(recurrent, tmp_path / "rnn", endpoints, 8, verbose=False)
    for model, path in (exported, (recurrent, tmp_path / "rnn")):
        check_plain_and_stored_once(model, path)


def check_plain_and_stored_once(model, path):
    saved = saved_model_pb2.SavedModel.FromString(
        (path / "saved_model.pb").read_bytes()
    )
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    refused = ("Xla", "Cudnn", "PyFunc", "EagerPyFunc")
    assert not [n.op for n in nodes if n.op.startswith(refused)]
    compiled = [*(f.attr for f in graph.library.function), *(n.attr for n in nodes)]
    assert not any(a["_XlaMustCompile"].b for a in compiled if "_XlaMustCompile" in a)
    stored = sum(f.stat().st_size for f in (path / "variables").glob("*.data-*"))
    weights = sum(w.numpy().nbytes for w in model.weights)
    assert weights <= stored < 1.5 * weights + 20_000


def test_never_overwrites_and_leaves_nothing_half_written(exported, tmp_path):
    model, path = VAE((3, 4, 1), 2, 4), exported[1]
    before = sorted(p.name for p in path.parent.iterdir())
    for existing in (path, tmp_path):
        with pytest.raises(ValueError, match="path that exists.*Received"):
            model.export(existing)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match="path that exists"):
        model.export(file)
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


def test_any_size_must_be_named(tmp_path):
    model = PixelRNN((None, None, 1), 3, 1)
    with pytest.raises(ValueError, match="export needs `image_size="):
        model.export(tmp_path / "model")
    model.export(tmp_path / "model", image_size=(3, 4))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    images = loaded.signatures["sample"](seed=tf.constant([1], tf.int64))["images"]
    assert images.shape == (1, 3, 4, 1)


def test_other_formats_go_to_keras(exported, tmp_path):
    with pytest.raises(ValueError, match="format"):
        exported[0].export(tmp_path / "model", format="no such format")
