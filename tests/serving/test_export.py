import pytest
import tensorflow as tf

from keras_genimg.models import VAE, PixelRNN
from keras_genimg.serving.saved_graph import SavedGraph
from tests.serving.some_endpoints import write_endpoints

pytestmark = pytest.mark.slow


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


def test_other_formats_go_to_keras(color_model, tmp_path):
    with pytest.raises(ValueError, match="format"):
        color_model.export(tmp_path / "model", format="no such format")
