"""Keras' own callbacks do with our models what they do with others."""

import csv
import itertools

import keras
import numpy as np
import pytest

import keras_genimg as kg

SHAPE = (6, 6, 1)
# Blots, so that there is something to learn.
IMAGES = np.zeros((24, *SHAPE), "uint8")
IMAGES[:, 1:4, 2:5] = 1
BATCH_SIZE = 8
METRICS = ["bits_per_dim", "loss"]


def weights_of(model):
    """Return all weights of a model as one vector."""
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


class Recorder(keras.callbacks.Callback):
    """Record the weights after each epoch and batch, and in each evaluation."""

    def __init__(self):
        super().__init__()
        self.epochs, self.batches, self.tests = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(weights_of(self.model))

    def on_test_begin(self, logs=None):
        self.tests.append(weights_of(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(weights_of(self.model))


def make(optimizer=None, run_eagerly=True):
    images = keras.Input(SHAPE)
    x = kg.layers.MaskedConv2D(1, 3, mask_type="A", dtype="float32")(images)
    model = kg.models.AutoregressiveModel(images, x, "bernoulli")
    model.check_causality = False
    model.compile(optimizer or keras.optimizers.SGD(0.1), run_eagerly=run_eagerly)
    return model


def fit(model, *callbacks, epochs=5):
    """Train, and climb the loss again from the fourth epoch on."""
    recorder = Recorder()
    rate = keras.callbacks.LearningRateScheduler(
        lambda epoch: [0.1, 0.1, 0.2, -0.2, -0.4][min(epoch, 4)]
    )
    history = model.fit(
        IMAGES,
        batch_size=BATCH_SIZE,
        shuffle=False,
        epochs=epochs,
        verbose=0,
        validation_data=IMAGES,
        callbacks=[rate, *callbacks, recorder],
    )
    return history.history, recorder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("callbacks")


@pytest.fixture(scope="module")
def trained(folder):
    """Return a model that was trained with all that write files, and its run."""
    keras.utils.set_random_seed(0)
    model = make(run_eagerly=False)
    best = {"monitor": "val_loss", "save_best_only": True}
    history, recorder = fit(
        model,
        keras.callbacks.ModelCheckpoint(folder / "best.keras", **best),
        keras.callbacks.ModelCheckpoint(
            folder / "best.weights.h5", save_weights_only=True, **best
        ),
        keras.callbacks.CSVLogger(folder / "log.csv"),
    )
    return model, history, recorder


def best_epoch(history):
    best = int(np.argmin(history["val_loss"]))
    assert 0 < best < len(history["val_loss"]) - 1
    return best


def test_model_checkpoint_keeps_the_best_model(trained, folder):
    model, history, recorder = trained
    expected = recorder.epochs[best_epoch(history)]
    loaded = keras.models.load_model(folder / "best.keras")
    np.testing.assert_array_equal(weights_of(loaded), expected)
    assert (weights_of(loaded) != weights_of(model)).any()
    # The file has the optimizer and the metrics too.
    loss, bits = loaded.evaluate(IMAGES, batch_size=BATCH_SIZE, verbose=0)
    np.testing.assert_allclose(loss, min(history["val_loss"]), rtol=1e-6)
    np.testing.assert_allclose(bits, min(history["val_bits_per_dim"]), rtol=1e-6)
    steps = (best_epoch(history) + 1) * len(IMAGES) // BATCH_SIZE
    assert int(loaded.optimizer.iterations) == steps


def test_model_checkpoint_keeps_the_best_weights(trained, folder):
    _, history, recorder = trained
    model = make()
    model.load_weights(folder / "best.weights.h5")
    expected = recorder.epochs[best_epoch(history)]
    np.testing.assert_array_equal(weights_of(model), expected)


def test_csv_logger_has_the_columns_of_the_history(trained, folder):
    _, history, _ = trained
    with open(folder / "log.csv") as opened:
        rows = list(csv.DictReader(opened))
    validated = [f"val_{name}" for name in METRICS]
    assert set(rows[0]) == {"epoch", "learning_rate", *METRICS, *validated}
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3", "4"]
    for name in [*METRICS, *validated, "learning_rate"]:
        logged = [float(row[name]) for row in rows]
        np.testing.assert_allclose(logged, history[name], rtol=1e-6)


def test_early_stopping_restores_the_best_weights(trained):
    _, whole, _ = trained
    best = best_epoch(whole)
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=1, restore_best_weights=True
    )
    keras.utils.set_random_seed(0)
    model = make()
    history, recorder = fit(model, stopping, epochs=9)
    assert len(history["loss"]) == best + 2  # One worse epoch.
    assert stopping.stopped_epoch == best + 1 and stopping.best_epoch == best
    np.testing.assert_array_equal(weights_of(model), recorder.epochs[best])
    assert (weights_of(model) != recorder.epochs[-1]).any()


def test_swap_ema_weights_swaps_in_evaluation_and_back():
    momentum = 0.75
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=momentum)
    model = make(optimizer)
    history, recorder = fit(model, keras.callbacks.SwapEMAWeights(), epochs=2)
    averages = list(
        itertools.accumulate(
            recorder.batches, lambda old, new: momentum * old + (1 - momentum) * new
        )
    )
    per_epoch = len(IMAGES) // BATCH_SIZE
    for index, raw in enumerate(recorder.epochs):
        end = (index + 1) * per_epoch - 1
        np.testing.assert_allclose(raw, recorder.batches[end], atol=1e-6)
        np.testing.assert_allclose(recorder.tests[index], averages[end], atol=1e-6)
        assert np.abs(raw - averages[end]).max() > 1e-3
    # Keras leaves the averages in the model when training ends.
    np.testing.assert_allclose(weights_of(model), averages[-1], atol=1e-6)
    loss, _ = model.evaluate(IMAGES, verbose=0)
    np.testing.assert_allclose(history["val_loss"][-1], loss, rtol=1e-5)
