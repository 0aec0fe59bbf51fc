"""Training data for `keras.Model.fit`: arrays, workers, epochs without pauses."""

import math
import random
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.datasets import Epochs
from keras_genimg.datasets.epochs import make_epochs
from keras_genimg.inputs.images import images_of, refuse_targets
from keras_genimg.keras_private import is_multi_worker
from keras_genimg.model_types import ImageModel
from keras_genimg.ops.workers import shared_seed, sum_over_workers


def are_arrays(x: Any) -> bool:
    """Return whether a structure consists of arrays and tensors."""
    return all(isinstance(part, (np.ndarray, tf.Tensor)) for part in tf.nest.flatten(x))


def epochs_of(data: Any) -> Epochs | None:
    """Return the `Epochs` of a data set of `keras_genimg.datasets`, or None."""
    epochs = getattr(data, "epochs", None)
    return epochs if isinstance(epochs, Epochs) else None


def array_epochs(
    parts: tuple[Any, ...],
    batch_size: int,
    shuffle: bool,
    seed: int,
    description: dict[str, Any] | None = None,
) -> Epochs:
    """Return the epochs of arrays.

    Args:
        parts: Images, or a structure of all inputs; then targets and weights, if any.
        batch_size: Examples per batch.
        shuffle: Whether each epoch has another order.
        seed: Integer seed of the order.
        description: See `Epochs`.
    """
    # A data set would stack a list of arrays.
    parts = tuple(tuple(part) if isinstance(part, list) else part for part in parts)
    num_examples = len(tf.nest.flatten(parts)[0])
    with tf.device("CPU:0"):
        in_memory = tf.nest.map_structure(tf.constant, parts)
    return make_epochs(
        None,
        num_examples,
        batch_size,
        in_memory=in_memory,
        shuffle_within=num_examples if shuffle else 0,
        seed=seed,
        description=description,
    )


def without_pauses(
    x: Any, arguments: dict[str, Any], num_replicas: int
) -> tuple[Any, dict[str, Any]]:
    """Replace a data set of `keras_genimg.datasets` by one without end.

    Keras makes a new iterator for each epoch, unless it is given the number of steps.
    A new iterator takes as long as twenty steps of a small model.

    Args:
        x: Training data.
        arguments: The other arguments of `keras.Model.fit`.
        num_replicas: Number of replicas that train.

    Returns:
        Data and arguments for `keras.Model.fit`.
    """
    epochs = epochs_of(x)
    has_steps = arguments.get("steps_per_epoch") is not None
    if epochs is None or has_steps or num_replicas > 1:
        return x, arguments
    return epochs.endless(), {**arguments, "steps_per_epoch": epochs.num_batches}


def for_workers(
    x: Any, arguments: dict[str, Any], strategy: tf.distribute.Strategy
) -> tuple[Any, dict[str, Any]]:
    """Return training data in an order that all workers share.

    Each worker trains on its part of every batch, so all must read the same batches.
    But Keras shuffles arrays and `PyDataset`s by random numbers of each process: some
    examples would come twice in an epoch, and others not at all.

    Args:
        x: Training data, checked.
        arguments: The other arguments of `keras.Model.fit`.
        strategy: That of the model.

    Returns:
        Data and arguments for `keras.Model.fit`: as they are, unless several workers
        train.

    Raises:
        ValueError: If workers have different global seeds.
    """
    if not is_multi_worker(strategy):
        return x, arguments
    _check_same_seed(strategy)
    if not arguments.get("shuffle", True):
        return x, arguments
    if isinstance(x, keras.utils.PyDataset) and x.num_batches is not None:
        return SameOrder(x, shared_seed(strategy)), {**arguments, "shuffle": False}
    if are_arrays(x):
        return _arrays_in_order(x, dict(arguments), shared_seed(strategy))
    return x, arguments


def _check_same_seed(strategy):
    """Raise if workers have different global seeds, which shuffle data sets."""
    numbers = tf.data.Dataset.random(0, rerandomize_each_iteration=True)
    number = int(next(iter(numbers))) % 2**31
    if sum_over_workers(strategy, number) != number * strategy.num_replicas_in_sync:
        raise ValueError(
            "Workers must have the same global seed, or they would read data sets in "
            "different orders. Call keras.utils.set_random_seed with the same number "
            "on all workers, or on none. Received: different seeds"
        )


def _arrays_in_order(x, arguments, seed):
    num_examples = len(tf.nest.flatten(x)[0])
    split = arguments.pop("validation_split", None)
    if arguments.get("validation_data") is not None:
        split = None
    if split and not 0 < math.floor(num_examples * (1 - split)) < num_examples:
        return x, {**arguments, "validation_split": split}  # Keras says what is wrong.
    parts = (x, arguments.pop("y", None), arguments.pop("sample_weight", None))
    parts = tuple(part for part in parts if part is not None)
    if split:  # Keras splits arrays, but not data sets.
        num_examples = math.floor(num_examples * (1 - split))
        arguments["validation_data"] = _slice(parts, slice(num_examples, None))
        parts = _slice(parts, slice(num_examples))
    batch_size = arguments.pop("batch_size", None)
    if not batch_size:
        steps = arguments.get("steps_per_epoch")
        batch_size = math.ceil(num_examples / steps) if steps else 32
    arguments.setdefault("validation_batch_size", batch_size)
    epochs = array_epochs(parts, batch_size, shuffle=True, seed=seed)
    return epochs.new_each_pass(), {**arguments, "shuffle": False}


def _slice(arrays, examples):
    return tf.nest.map_structure(lambda array: array[examples], arrays)


def with_images_as_targets(x: Any, model: ImageModel, owner: str) -> Any:
    """Return a data source with the images instead of targets that are None.

    Keras reads weights next to None from some sources only; with several replicas, from
    none.

    Args:
        x: A data source, checked.
        model: A `GenerativeModel`.
        owner: The call that received `x`, for error texts.

    Raises:
        ValueError: If the first batch of a `PyDataset` has None next to weights. Such a
            data set may be copied to other processes, which could not read the model.
    """

    def completed(batch):
        if not _is_without_targets(batch):
            return batch
        inputs, _, weights = batch
        return inputs, images_of(inputs, model), weights

    if isinstance(x, tf.data.Dataset):
        # Any other spec stands for None, whose own spec has no public name. The step
        # refuses structures.
        others = tf.TensorSpec, dict, list, tuple
        spec = x.element_spec
        if (
            isinstance(spec, tuple)
            and len(spec) == 3
            and not isinstance(spec[1], others)
        ):
            return x.map(lambda *batch: completed(batch))
    elif isinstance(x, keras.utils.PyDataset):
        if x.num_batches != 0 and _is_without_targets(x[0]):
            refuse_targets(model, owner, "y=None", weighed=True)
    elif hasattr(x, "__next__"):
        return (completed(batch) for batch in x)
    return x


def _is_without_targets(batch):
    return isinstance(batch, tuple) and len(batch) == 3 and batch[1] is None


class SameOrder(keras.utils.PyDataset):
    """The batches of a `PyDataset`, in a new order in each epoch.

    Args:
        dataset: `keras.utils.PyDataset` of known length.
        seed: Integer seed of the orders.
    """

    def __init__(self, dataset: keras.utils.PyDataset, seed: int):
        super().__init__(
            dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size
        )
        self._dataset = dataset
        self._random = random.Random(seed)
        self._shuffle()

    def _shuffle(self):
        self._order = list(range(self._dataset.num_batches))
        self._random.shuffle(self._order)

    @property
    def num_batches(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> Any:
        return self._dataset[self._order[index]]

    def on_epoch_begin(self) -> None:
        self._dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._dataset.on_epoch_end()
        # Keras asks for batches of the next epoch before that begins.
        self._shuffle()
