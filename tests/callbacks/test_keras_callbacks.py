"""Keras' own callbacks do with our models what they do with others."""

import itertools

import keras
import numpy as np

from tests.fitting.one_convolution import one_convolution

SHAPE = (6, 6, 1)
# Blots, so that there is something to learn.
IMAGES = np.zeros((24, *SHAPE), "uint8")
IMAGES[:, 1:4, 2:5] = 1


def weights_of(model):
    """Return all weights of a model as one vector."""
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


def fit(*callbacks, **options):
    """Train in steps of 8 images, and climb the loss again from the fourth epoch on.

    Returns:
        The model, the history, and the weights after each step.
    """
    keras.utils.set_random_seed(0)
    model = one_convolution(SHAPE)
    model.compile(keras.optimizers.SGD(**options), run_eagerly=True)
    rates = [0.1, 0.1, 0.2, -0.2, -0.4]
    weights = []
    own = [
        keras.callbacks.LearningRateScheduler(lambda epoch: rates[epoch]),
        keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: weights.append(weights_of(model))
        ),
    ]
    given = {"batch_size": 8, "shuffle": False, "validation_data": IMAGES, "verbose": 0}
    history = model.fit(IMAGES, epochs=5, callbacks=[*own, *callbacks], **given)
    return model, history.history, weights


def test_model_checkpoint_keeps_the_best_model_and_its_weights(tmp_path):
    best = {"monitor": "val_loss", "save_best_only": True}
    files = tmp_path / "best.keras", tmp_path / "best.weights.h5"
    _, history, weights = fit(
        keras.callbacks.ModelCheckpoint(files[0], **best),
        keras.callbacks.ModelCheckpoint(files[1], save_weights_only=True, **best),
    )
    best_epoch = int(np.argmin(history["val_loss"]))
    assert 0 < best_epoch < 4
    num_steps = 3 * (best_epoch + 1)
    loaded = keras.models.load_model(files[0])
    np.testing.assert_array_equal(weights_of(loaded), weights[num_steps - 1])
    # The file has the optimizer and the metrics too.
    assert int(loaded.optimizer.iterations) == num_steps
    results = loaded.evaluate(IMAGES, batch_size=8, verbose=0)
    smallest = min(history["val_loss"]), min(history["val_bits_per_dim"])
    np.testing.assert_allclose(results, smallest, rtol=1e-6)
    loaded.set_weights([0 * weight for weight in loaded.get_weights()])
    loaded.load_weights(files[1])
    np.testing.assert_array_equal(weights_of(loaded), weights[num_steps - 1])


def test_swap_ema_weights_swaps_in_evaluation_and_back():
    averaged = {"use_ema": True, "ema_momentum": 0.75}
    model, history, swapped = fit(keras.callbacks.SwapEMAWeights(), **averaged)
    _, _, weights = fit(**averaged)
    np.testing.assert_allclose(swapped[:6], weights[:6], atol=1e-6)
    *_, average = itertools.accumulate(
        swapped, lambda old, new: 0.75 * old + 0.25 * new
    )
    assert np.abs(swapped[-1] - average).max() > 1e-2
    # Keras leaves the averages in the model when training ends.
    np.testing.assert_allclose(weights_of(model), average, atol=1e-6)
    loss, _ = model.evaluate(IMAGES, verbose=0)
    np.testing.assert_allclose(history["val_loss"][-1], loss, rtol=1e-5)
