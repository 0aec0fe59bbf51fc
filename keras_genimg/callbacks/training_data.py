"""Training data that begins in any epoch, at any batch."""

import dataclasses
from typing import Any

import tensorflow as tf

from keras_genimg.callbacks.run_description import describe_arrays
from keras_genimg.datasets import Epochs
from keras_genimg.fitting.data import are_arrays, array_epochs


@dataclasses.dataclass
class TrainingData:
    """Training data of a run.

    Attributes:
        dataset: Data for `keras.Model.fit`.
        arguments: Arguments of `keras.Model.fit` that go with `dataset`.
        description: JSON values that tell this data from other data.
        consumed: Whether skipped batches must be read.
        epoch: Variable, the epoch of the next pass.
        start: Variable, the first batch of the next pass.
    """

    dataset: Any
    arguments: dict[str, Any]
    description: dict[str, Any]
    consumed: bool
    epoch: tf.Variable
    start: tf.Variable

    def begin_at(self, epoch, start):
        """Let the next pass begin at a batch of an epoch."""
        self.epoch.assign(epoch)
        self.start.assign(start)


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
    epochs: Any = getattr(x, "epochs", None)
    if not isinstance(epochs, Epochs):
        epochs = _array_epochs(x, arguments, seed) if are_arrays(x) else None
    arguments["shuffle"] = False  # Keras would shuffle a `PyDataset`.
    if epochs is None:
        _check_repeats(x, repeats_exactly)
        count = x.cardinality() if isinstance(x, tf.data.Dataset) else len(x)
        description = {"data": {"num_batches": int(count), "source": type(x).__name__}}
        return TrainingData(x, arguments, description, True, epoch, start)
    description = {
        "batch_size": epochs.batch_size,
        "seed": epochs.seed,
        "data": {"num_batches": epochs.num_batches, **epochs.description},
    }
    dataset = epochs.read(epoch, start)
    return TrainingData(dataset, arguments, description, False, epoch, start)


def _check_repeats(x, repeats_exactly):
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


def _array_epochs(x, arguments, seed):
    """Return the epochs of arrays; take from `arguments` what belongs to them."""
    parts = (x, arguments.pop("y", None), arguments.pop("sample_weight", None))
    arrays = tuple(part for part in parts if part is not None)
    return array_epochs(
        arrays,
        arguments.pop("batch_size", None) or 32,
        shuffle=bool(arguments.pop("shuffle", True)),
        seed=seed,
        description=describe_arrays(arrays),
    )
