"""Keras' own callbacks do with our models what they do with others."""

import itertools

import keras
import numpy as np

from tests.fitting.one_convolution import one_convolution

SHAPE = (6, 6, 1)
# Blots, so that there is something to learn.
IMAGES = np.zeros((24, *SHAPE), "uint8")
IMAGES[:, 1:4, 2:5] = 1
BATCH_SIZE = 8


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


def make(optimizer=None):
    model = one_convolution(SHAPE)
    model.compile(optimizer or keras.optimizers.SGD(0.1), run_eagerly=True)
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


def test_model_checkpoint_keeps_the_best_model_and_its_weights(tmp_path):
    keras.utils.set_random_seed(0)
    model = make()
    best = {"monitor": "val_loss", "save_best_only": True}
    files = tmp_path / "best.keras", tmp_path / "best.weights.h5"
    history, recorder = fit(
        model,
        keras.callbacks.ModelCheckpoint(files[0], **best),
        keras.callbacks.ModelCheckpoint(files[1], save_weights_only=True, **best),
    )
    best_epoch = int(np.argmin(history["val_loss"]))
    assert 0 < best_epoch < len(history["val_loss"]) - 1
    expected = recorder.epochs[best_epoch]
    loaded = keras.models.load_model(files[0])
    np.testing.assert_array_equal(weights_of(loaded), expected)
    assert (weights_of(loaded) != weights_of(model)).any()
    # The file has the optimizer and the metrics too.
    loss, bits = loaded.evaluate(IMAGES, batch_size=BATCH_SIZE, verbose=0)
    np.testing.assert_allclose(loss, min(history["val_loss"]), rtol=1e-6)
    np.testing.assert_allclose(bits, min(history["val_bits_per_dim"]), rtol=1e-6)
    steps = (best_epoch + 1) * len(IMAGES) // BATCH_SIZE
    assert int(loaded.optimizer.iterations) == steps
    loaded.set_weights([0 * weight for weight in loaded.get_weights()])
    loaded.load_weights(files[1])
    np.testing.assert_array_equal(weights_of(loaded), expected)


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
