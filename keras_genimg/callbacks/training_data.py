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
    epoch: tf.Variable
    start: tf.Variable

    def begin_at(self, epoch, start):
        """Let the next pass begin at a batch of an epoch."""
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
    for name in ("validation_split", "steps_per_epoch", "initial_epoch"):
        value = arguments.pop(name, None)
        if value:
            raise ValueError(
                f"Resume arranges the training data, which leaves no place for "
                f"`{name}`. Leave it out; pass `validation_data` in place of a split. "
                f"Received: {name}={value!r}"
            )
    with tf.device("CPU:0"):
        epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        start = tf.Variable(0, dtype=tf.int64, trainable=False)
    validation = getattr(arguments.get("validation_data"), "epochs", None)
    if isinstance(validation, Epochs):
        arguments["validation_data"] = validation.read(epoch)
    epochs = getattr(x, "epochs", None)
    consumed = False
    if not isinstance(epochs, Epochs):
        consumed = isinstance(x, tf.data.Dataset) or not _are_arrays(x)
        make = _repeating if consumed else _array_epochs
        epochs = make(x, arguments, seed, repeats_exactly)
    dataset = x if consumed else epochs.read(epoch, start)
    arguments["shuffle"] = False  # Keras would shuffle a `PyDataset`.
    return TrainingData(dataset, epochs, arguments, consumed, epoch, start)


def _repeating(x, arguments, seed, repeats_exactly):
    kind = type(x).__name__
    if hasattr(x, "__next__"):
        raise ValueError(
            f"Resume cannot begin training data of type {kind} again, since it can be "
            f"read only once. Pass a tf.data.Dataset or a keras.utils.PyDataset and "
            f"Resume(repeats_exactly=True). Received: x of type {kind}"
        )
    if not repeats_exactly:
        raise ValueError(
            f"Resume cannot know whether training data of type {kind} repeats exactly. "
            f"Pass arrays or a data set of keras_genimg.datasets, unchanged; or, if "
            f"each epoch of each run has the same batches in the same order, "
            f"Resume(repeats_exactly=True). Received: x of type {kind}"
        )
    count = x.cardinality() if isinstance(x, tf.data.Dataset) else len(x)
    return Epochs(None, int(count), 0, 0, {"source": kind})


def _are_arrays(x):
    parts = tf.nest.flatten(x)
    return all(isinstance(part, (np.ndarray, tf.Tensor)) for part in parts)


def _array_epochs(x, arguments, seed, repeats_exactly):
    parts = (x, arguments.pop("y", None), arguments.pop("sample_weight", None))
    arrays = tuple(part for part in parts if part is not None)
    num_examples = len(tf.nest.flatten(arrays)[0])
    with tf.device("CPU:0"):
        in_memory = tf.nest.map_structure(tf.constant, arrays)
    return make_epochs(
        None,
        num_examples,
        arguments.pop("batch_size", None) or 32,
        in_memory=in_memory,
        shuffle_within=num_examples if arguments.pop("shuffle", True) else 0,
        seed=seed,
        description=describe_arrays(arrays),
    )
