"""A warning of what Keras' `BackupAndRestore` does not restore."""

import warnings

import keras
import tensorflow as tf

from keras_genimg.datasets import Epochs
from keras_genimg.fitting.array_epochs import are_arrays
from keras_genimg.ops.workers import is_multi_worker

_RESUME = "keras_genimg.callbacks.Resume"


def check_restart(model, x, arguments, callbacks):
    """Warn if `BackupAndRestore` would go on elsewhere than where training stopped.

    It saves the weights, the optimizer and the number of the epoch. The seeds of noise
    and the position in the data are not saved. So it is exact if nothing is random, the
    data are the same in each epoch, and it saves at the end of epochs only.

    Args:
        model: The compiled model.
        x: Training data, checked.
        arguments: The other arguments of `keras.Model.fit`.
        callbacks: List of the callbacks of `fit`.

    Raises:
        ValueError: If several workers train, or another callback restores too.
    """
    kind = keras.callbacks.BackupAndRestore
    backup = next((each for each in callbacks if isinstance(each, kind)), None)
    if backup is None:
        return
    if any(hasattr(each, "arranged") for each in callbacks):
        raise ValueError(
            f"{model.name}.fit received both Resume and BackupAndRestore. The second "
            f"would load its own weights over those that the first restored, and begin "
            f"in its own epoch. Leave out BackupAndRestore."
        )
    if is_multi_worker(model.distribute_strategy):
        raise ValueError(
            f"BackupAndRestore does not work with several workers, each of which would "
            f"write and restore by itself. Use {_RESUME}, which all workers share. "
            f"Received: {model.name}.fit under "
            f"{type(model.distribute_strategy).__name__}"
        )
    reasons = [
        *_of_the_middle(backup),
        *_of_swaps(callbacks),
        *_of_noise(model),
        *_of_the_data(x, arguments),
    ]
    if reasons:
        warnings.warn(
            f"After a stop, BackupAndRestore would not go on exactly: "
            f"{'; '.join(reasons)}. Use {_RESUME}(directory), which goes on exactly.",
            stacklevel=3,
        )


def _of_the_middle(backup):
    if backup.save_freq != "epoch":
        yield (
            f"with save_freq={backup.save_freq!r} it saves in the midst of an epoch, "
            f"and goes on with the first batch of that epoch"
        )


def _of_swaps(callbacks):
    kind = keras.callbacks.SwapEMAWeights
    if any(isinstance(each, kind) and each.swap_on_epoch for each in callbacks):
        yield (
            "SwapEMAWeights swaps weights with their averages at the end of an epoch, "
            "and would not swap them back"
        )


def _of_noise(model):
    weights = {id(variable) for variable in model.weights}
    if any(id(variable) not in weights for variable in model.variables):
        yield f"the noise of {model.name} begins again with its first seed"


def _of_the_data(x, arguments):
    shuffle = arguments.get("shuffle", True)
    kind = type(x).__name__
    epochs = getattr(x, "epochs", None)
    if isinstance(epochs, Epochs):
        if _differ(epochs):
            yield "order and noise of the data begin again with those of the first pass"
    elif are_arrays(x):
        if shuffle and not _shuffles_alike():
            yield "arrays are shuffled by other random numbers"
    else:
        yield (
            f"training data of type {kind} begin again, with other batches than those "
            f"that would have followed unless all epochs are the same"
        )


def _differ(epochs):
    """Return whether one epoch may differ from another, because it uses their key."""

    @tf.function(input_signature=[tf.TensorSpec((2,), tf.int64)], autograph=False)
    def begin(key):
        batches = epochs.begin(key, tf.constant(0, tf.int64))
        return tf.data.experimental.to_variant(batches)

    return bool(begin.get_concrete_function().graph.inputs[0].consumers())


def _shuffles_alike():
    """Return whether Keras shuffles arrays alike in each pass and each process.

    With a global seed, as of `keras.utils.set_random_seed`, it does.
    """
    largest = 2**31 - 1
    numbers = tf.data.Dataset.range(1).map(
        lambda _: tf.random.uniform((4,), maxval=largest, dtype=tf.int32)
    )
    first, second = (next(iter(numbers)).numpy() for _ in range(2))
    return bool((first == second).all())
