"""Arrays as data sets that shuffle by a seed."""

from typing import Any

import numpy as np
import tensorflow as tf

from keras_genimg.datasets import Epochs
from keras_genimg.datasets.epochs import make_epochs


def are_arrays(x: Any) -> bool:
    """Return whether a structure consists of arrays and tensors."""
    return all(isinstance(part, (np.ndarray, tf.Tensor)) for part in tf.nest.flatten(x))


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
