"""Keras' own callback beside models of ours."""

import keras
import numpy as np
import pytest

from keras_genimg.callbacks import Resume
from keras_genimg.datasets import load
from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import AutoregressiveModel
from tests.callbacks.stopping import Stop, random_images

pytestmark = pytest.mark.slow

SHAPE = (8, 8, 1)
IMAGES = random_images(SHAPE)
BATCHES = 5


def pixels():
    images = keras.Input(SHAPE)
    logits = MaskedConv2D(1, 3, mask_type="A", dtype="float32")(images)
    model = AutoregressiveModel(images, logits, "bernoulli", name="pixels")
    model.check_causality = False
    return model


def digits(**options):
    return load("digits", "test", 60, **options)


def run(make, x, *callbacks, **options):
    """Train for two epochs of five batches; return the weights."""
    keras.utils.set_random_seed(0)
    model = make()
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    if callable(x):
        x = x()
    if isinstance(x, np.ndarray):
        options["batch_size"] = 4
    model.fit(x, epochs=2, verbose=0, callbacks=list(callbacks), **options)
    return model.get_weights()


def largest_difference(make, x, folder, **options):
    """Return how far a run that was stopped ends from one that was not."""

    def backup():
        return keras.callbacks.BackupAndRestore(folder / "backup")

    whole = run(make, x, **options)
    with pytest.raises(KeyboardInterrupt):
        run(make, x, backup(), Stop(BATCHES + 2), **options)
    assert (folder / "backup" / "latest.weights.h5").exists()
    ended = run(make, x, backup(), **options)
    pairs = zip(whole, ended, strict=True)
    return max(np.abs(a - b).max() for a, b in pairs)


@pytest.mark.parametrize(
    "x, options",
    [
        (IMAGES, {}),  # With a global seed, Keras shuffles each epoch alike.
        (lambda: digits(binarize="fixed", crop_size=8), {}),
    ],
    ids=["shuffled with a seed", "data set"],
)
def test_exact_where_nothing_is_random(x, options, tmp_path):
    assert largest_difference(pixels, x, tmp_path, **options) == 0


def test_not_together_with_resume(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    for callbacks in ([backup, Resume(tmp_path)], [Resume(tmp_path), backup]):
        with pytest.raises(ValueError, match="both Resume and BackupAndRest.*over"):
            run(pixels, IMAGES, *callbacks, shuffle=False)
    assert not list(tmp_path.iterdir())


def test_the_next_fit_begins_in_its_first_epoch(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        run(pixels, IMAGES, backup, Stop(BATCHES + 2))
    model = pixels()
    model.compile("adam", run_eagerly=True)
    options = {"batch_size": 4, "shuffle": False, "verbose": 0}
    restored = model.fit(IMAGES, epochs=2, callbacks=[backup], **options)
    assert restored.epoch == [1]
    assert model.fit(IMAGES, epochs=2, **options).epoch == [0, 1]
