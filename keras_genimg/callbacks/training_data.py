"""Training data that begins in any epoch, at any batch."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from keras_genimg.callbacks.run_description import describe_arrays
from keras_genimg.datasets.epochs import Epochs, make_epochs


@dataclasses.dataclass
class TrainingData:
    """Training data of a run.

    Attributes:
        dataset: Data for `keras.Model.fit`.
        epochs: `Epochs`, which tells this data from other data.
        arguments: Arguments of `keras.Model.fit` that go with `dataset`.
        consumed: Whether skipped batches must be read.
        epoch: Variable, the epoch of the next pass.
        start: Variable, the first batch of the next pass.
    """

    dataset: Any
    epochs: Epochs
    arguments: dict[str, Any]
    consumed: bool
    epoch: tf.Variable | None = None
    start: tf.Variable | None = None

    def begin_at(self, epoch, start):
        """Let the next pass begin at a batch of an epoch."""
        if self.epoch is not None and self.start is not None:
            self.epoch.assign(epoch)
            self.start.assign(start)

    def first_pass(self):
        """Return an iterable whose first item is a batch like those of `dataset`."""
        if self.consumed:
            return self.dataset
        return self.epochs.read(0)


def training_data(x, arguments, seed, repeats_exactly):
    """Return the `TrainingData` in the arguments of `fit`.

    Args:
        x: Training data, checked.
        arguments: The other arguments of `keras.Model.fit`.
        seed: Integer seed of the order of arrays.
        repeats_exactly: Whether other sources are accepted.

    Raises:
        ValueError: If the data may not repeat, or an argument cannot be heeded.
    """
    arguments = dict(arguments)
    for name in ("validation_split", "steps_per_epoch"):
        if arguments.pop(name, None):
            raise ValueError(
                f"Resume arranges the training data, which leaves no place for "
                f"`{name}`. Leave it out; pass `validation_data` in place of a split. "
                f"Received: {name}"
            )
    epochs = getattr(x, "epochs", None)
    if isinstance(epochs, Epochs):
        return _following(epochs, arguments)
    if isinstance(x, tf.data.Dataset) or not _are_arrays(x):
        return _repeating(x, arguments, repeats_exactly)
    parts = (x, arguments.pop("y", None), arguments.pop("sample_weight", None))
    arrays = tuple(part for part in parts if part is not None)
    batch_size = arguments.pop("batch_size", None) or 32
    shuffle = arguments.pop("shuffle", True)
    return _following(_array_epochs(arrays, batch_size, shuffle, seed), arguments)


def _following(epochs, arguments):
    with tf.device("CPU:0"):
        epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        start = tf.Variable(0, dtype=tf.int64, trainable=False)
    arguments = {**arguments, "shuffle": False}
    dataset = epochs.read(epoch, start)
    return TrainingData(dataset, epochs, arguments, False, epoch, start)


def _repeating(x, arguments, repeats_exactly):
    kind = type(x).__name__
    if not repeats_exactly:
        raise ValueError(
            f"Resume cannot know whether training data of type {kind} repeats exactly. "
            f"Pass arrays or a data set of keras_genimg.datasets, unchanged; or, if "
            f"each epoch of each run has the same batches in the same order, "
            f"Resume(repeats_exactly=True). Received: x of type {kind}"
        )
    count = x.cardinality() if isinstance(x, tf.data.Dataset) else len(x)
    epochs = Epochs(None, int(count), 0, 0, {"source": kind})
    arguments = {**arguments, "shuffle": False}  # Keras shuffles a `PyDataset`.
    return TrainingData(x, epochs, arguments, True)


def _are_arrays(x):
    parts = tf.nest.flatten(x)
    return all(isinstance(part, (np.ndarray, tf.Tensor)) for part in parts)


def _array_epochs(arrays, batch_size, shuffle, seed):
    num_examples = len(tf.nest.flatten(arrays)[0])
    with tf.device("CPU:0"):
        in_memory = tf.nest.map_structure(tf.constant, arrays)
    return make_epochs(
        None,
        num_examples,
        batch_size,
        in_memory=in_memory,
        shuffle_within=num_examples if shuffle else 0,
        seed=seed,
        description=describe_arrays(arrays),
    )
