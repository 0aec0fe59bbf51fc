"""Keras' own callback beside models of ours."""

import keras
import numpy as np
import pytest

from keras_genimg.callbacks import Resume
from keras_genimg.datasets import load
from tests.callbacks.stopping import Stop
from tests.fitting.one_convolution import one_convolution

pytestmark = pytest.mark.slow

SHAPE = (8, 8, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(20, *SHAPE)).astype("uint8")
BATCHES = 5


def digits():
    return load("digits", "test", 60, binarize="fixed", crop_size=8)


def run(x, *callbacks):
    """Train for two epochs of five batches; return the weights."""
    keras.utils.set_random_seed(0)
    model = one_convolution(SHAPE)
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    x, batch_size = (x(), None) if callable(x) else (x, 4)
    model.fit(x, batch_size=batch_size, epochs=2, verbose=0, callbacks=list(callbacks))
    return model.get_weights()


# With a global seed, Keras shuffles each epoch of the images alike.
@pytest.mark.parametrize("x", [IMAGES, digits], ids=["shuffled", "data set"])
def test_exact_where_nothing_is_random(x, tmp_path):
    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    whole = run(x)
    with pytest.raises(KeyboardInterrupt):
        run(x, backup(), Stop(BATCHES + 2))
    assert (tmp_path / "backup" / "latest.weights.h5").exists()
    np.testing.assert_equal(run(x, backup()), whole)


def test_not_together_with_resume(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    for callbacks in ([backup, Resume(tmp_path)], [Resume(tmp_path), backup]):
        with pytest.raises(ValueError, match="both Resume and BackupAndRest.*over"):
            run(IMAGES, *callbacks)
    assert not list(tmp_path.iterdir())


def test_the_next_fit_begins_in_its_first_epoch(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        run(IMAGES, backup, Stop(BATCHES + 2))
    model = one_convolution(SHAPE)
    model.compile("adam", run_eagerly=True)
    options = {"batch_size": 4, "shuffle": False, "verbose": 0}
    restored = model.fit(IMAGES, epochs=2, callbacks=[backup], **options)
    assert restored.epoch == [1]
    assert model.fit(IMAGES, epochs=2, **options).epoch == [0, 1]
