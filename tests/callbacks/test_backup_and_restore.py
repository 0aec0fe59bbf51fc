"""Keras' own callback goes on exactly, or `fit` says that it does not."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.callbacks import Resume
from keras_genimg.datasets import load
from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import VAE, AutoregressiveModel
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


def vae():
    return VAE(SHAPE, 2, 4, name="vae")


def digits(**options):
    return load("digits", "test", 60, **options)


def batches():
    return tf.data.Dataset.from_tensor_slices(IMAGES).batch(4)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return BATCHES

    def __getitem__(self, index):
        return (IMAGES[4 * index : 4 * index + 4],)


def run(make, x, *callbacks, seed=0, swap=False, **options):
    """Train for two epochs of five batches; return the weights."""
    keras.utils.set_random_seed(0)
    model = make()
    model.compile(keras.optimizers.Adam(0.01, use_ema=swap), run_eagerly=True)
    if swap:
        callbacks = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True), *callbacks]
    if callable(x):
        x = x()
    tf.random.set_seed(seed)
    if isinstance(x, np.ndarray):
        options["batch_size"] = 4
    model.fit(x, epochs=2, verbose=0, callbacks=list(callbacks), **options)
    return model.get_weights()


def largest_difference(make, x, folder, text=None, save_freq="epoch", **options):
    """Return how far a run that was stopped ends from one that was not."""

    def backup():
        return keras.callbacks.BackupAndRestore(folder / "backup", save_freq=save_freq)

    def warned():
        if text is None:
            return contextlib.nullcontext()
        return pytest.warns(UserWarning, match=f"(?s){text}.*keras_genimg.*.Resume")

    whole = run(make, x, **options)
    with warned(), pytest.raises(KeyboardInterrupt):
        run(make, x, backup(), Stop(BATCHES + 2), **options)
    assert (folder / "backup" / "latest.weights.h5").exists()
    with warned():
        ended = run(make, x, backup(), **options)
    pairs = zip(whole, ended, strict=True)
    return max(np.abs(a - b).max() for a, b in pairs)


# Warnings are errors.
@pytest.mark.parametrize(
    "x, options",
    [
        (IMAGES, {"shuffle": False}),
        (IMAGES, {}),  # With a global seed, Keras shuffles each epoch alike.
        (lambda: digits(binarize="fixed", crop_size=8), {}),
    ],
    ids=["in order", "shuffled with a seed", "data set"],
)
def test_exact_and_silent_where_nothing_is_random(x, options, tmp_path):
    assert largest_difference(pixels, x, tmp_path, **options) == 0


@pytest.mark.parametrize(
    "make, x, text, options",
    [
        (pixels, IMAGES, "save_freq=2 it saves in the midst", {"save_freq": 2}),
        (vae, IMAGES, "the noise of vae begins again", {"shuffle": False}),
        (pixels, IMAGES, "arrays are shuffled by other", {"seed": None}),
        (pixels, lambda: digits(binarize="dynamic"), "order and noise of the", {}),
        (pixels, IMAGES, "SwapEMAWeights swaps weights", {"swap": True}),
        (
            pixels,
            lambda: digits(binarize="fixed", shuffle=True),
            "order and noise of the data begin again",
            {},
        ),
        (
            pixels,
            lambda: batches().shuffle(BATCHES),
            "data of type .*Dataset begin again.*unless all epochs are the same",
            {},
        ),
    ],
    ids=["middle", "noise", "arrays", "binarized", "swap", "shuffled", "own data set"],
)
def test_warns_where_it_ends_elsewhere(make, x, text, options, tmp_path):
    assert largest_difference(make, x, tmp_path, text, **options) > 1e-5


@pytest.mark.filterwarnings("ignore:Your `PyDataset` class")
@pytest.mark.parametrize("x", [Batches, batches])
def test_says_that_it_cannot_know_other_sources(x, tmp_path):
    text = f"data of type .*{'Batches' if x is Batches else 'Dataset'} begin again"
    difference = largest_difference(pixels, x, tmp_path, text, shuffle=False)
    assert difference == 0


def test_names_all_reasons_once(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=2)
    model = vae()
    model.compile("sgd", run_eagerly=True)
    callbacks = keras.callbacks.CallbackList([backup], add_history=True, model=model)
    text = "midst of an epoch.*; the noise of vae.*; order and noise.*Resume"
    with pytest.warns(UserWarning, match=text) as caught:
        model.fit(digits(binarize="dynamic"), verbose=0, callbacks=callbacks)
    (warning,) = [each for each in caught if each.category is UserWarning]
    assert warning.filename == __file__


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
