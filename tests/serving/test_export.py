import numpy as np
import pytest
import tensorflow as tf

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


def test_log_prob_of_displayable_images(exported):
    model, path = exported
    labels = np.array([3, 0], "int32")
    images = model.generate(2, seed=0, conditions=labels)
    served = tf.saved_model.load(str(path)).signatures["log_prob"](
        images=model.likelihood.to_display(images).astype("int32"), label=labels
    )
    inputs = {"images": images, "label": labels}
    np.testing.assert_allclose(served["log_prob"], model.log_prob(inputs), rtol=1e-5)
    np.testing.assert_allclose(
        served["bits_per_dim"], model.bits_per_dim(inputs), rtol=1e-5
    )


def test_weights_are_stored_once(exported, tmp_path):
    recurrent = PixelRNN((3, 4, 1), 12, 1)
    endpoints = recurrent.endpoints(recurrent.image_shape)
    endpoints = {name: endpoints[name] for name in ("sample", "log_prob")}
    write_saved_model(recurrent, tmp_path / "rnn", endpoints, 8, verbose=False)
    for model, path in (exported, (recurrent, tmp_path / "rnn")):
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
