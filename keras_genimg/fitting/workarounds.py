"""Workarounds for defects of Keras and TensorFlow, each with the version seen."""

import contextlib
import threading
import types
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_genimg.keras_private import (
    all_layers,
    dataset_of,
    is_multi_worker,
    leave_gradients_unsummed,
    set_dataset_of,
)
from keras_genimg.model_types import FunctionalModel


def any_batch(inputs, model: FunctionalModel):
    """Return the inputs of a model in a graph, with an unknown number of examples.

    This works around a bug of Keras 3.15.1: if the static batch size equals the number
    of rows or channels, `keras.ops.add` mistakes a `(batch, 1, 1, 1)` tensor for a
    bias. The static size is erased only in that case, because a known size is faster.
    """
    if tf.executing_eagerly():
        return inputs
    sizes = {size for weight in model.weights for size in weight.shape}
    for layer in all_layers(model):
        for operation in getattr(layer, "operations", ()):
            for tensor in keras.tree.flatten(operation.output):
                sizes.update(tensor.shape[1:])

    def with_any(tensor):
        if not tf.is_tensor(tensor) or not tensor.shape.rank:
            return tensor
        if tensor.shape[0] is None or tensor.shape[0] not in sizes:
            return tensor
        shape = (None, *tensor.shape[1:])
        return tf.raw_ops.PlaceholderWithDefault(input=tensor, shape=shape)

    return tf.nest.map_structure(with_any, inputs)


def outside_replicas(step, data, optimizer):
    """Run a training step so that its graph is freed with the model.

    Keras sums the gradients of all replicas with `ReplicaContext.all_reduce`, whose
    `tf.custom_gradient` is registered forever and keeps the graph alive (TensorFlow
    2.21). Without a strategy there is only one replica, and in a cross-replica context
    Keras skips the sum. `LossScaleOptimizer`, which Keras uses for float16, does not
    work in that context, so those graphs are not freed.
    """
    if (
        isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        or tf.distribute.has_strategy()
        or tf.distribute.in_cross_replica_context()
    ):
        return step(data)
    return tf.distribute.get_replica_context().merge_call(lambda _: step(data))


def parts_of(optimizer):
    """Return an optimizer and all that it passes gradients to."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return [optimizer, inner, *getattr(inner, "optimizers", ())]


def sum_gradients_first(optimizer):
    """Let an optimizer sum gradients over replicas before all else, as on one device.

    Keras sums them just before it updates the weights. Until then, each replica clips
    its own gradient, and `LossScaleOptimizer` looks for overflow on the first one only
    (Keras 3.15.1).

    Args:
        optimizer: A built `keras.optimizers.Optimizer`.
    """
    for part in parts_of(optimizer):
        leave_gradients_unsummed(part)
    optimizer.apply = types.MethodType(_apply_sum, optimizer)


def _apply_sum(optimizer, grads, trainable_variables=None):
    given = [gradient for gradient in grads if gradient is not None]
    context = tf.distribute.get_replica_context()
    sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, given))
    grads = [None if gradient is None else next(sums) for gradient in grads]
    return type(optimizer).apply(optimizer, grads, trainable_variables)


def as_vectors(logs, strategy):
    """Return the logs of a step as Keras can reduce them over workers.

    Across workers, Keras averages over the first axis, which scalars do not have
    (keras-team/keras#20585).
    """
    if not is_multi_worker(strategy):
        return logs
    return {name: tf.reshape(value, (1,)) for name, value in logs.items()}


# Keras still refers to the last ones: to the one of the finished epoch, to one that it
# makes at the end of an epoch and drops, and to the new one.
_IN_USE = 3


class IteratorKeeper:
    """Keeps the iterators of `fit` and `evaluate`, to free them in another thread.

    To free an iterator, TensorFlow waits for the thread that tunes it, which may sleep
    for a minute. Keras makes new iterators in each epoch. If a strategy has several
    replicas, it makes them of internal data sets, whose tuning no option turns off,
    and an epoch could take twice as long.
    """

    def __init__(self):
        self._kept: list[_KeptIterators] = []

    def keep(self, epoch_iterator: Any) -> None:
        """Keep the iterators that Keras makes from now on.

        Args:
            epoch_iterator: Keras' `TFEpochIterator`.
        """
        dataset = dataset_of(epoch_iterator)
        if dataset is not None and not isinstance(dataset, _KeptIterators):
            kept = _KeptIterators(dataset)
            set_dataset_of(epoch_iterator, kept)
            self._kept.append(kept)

    @contextlib.contextmanager
    def freed_at_the_end(self) -> Iterator[None]:
        """Free what is kept in this context, after Keras has dropped it."""
        outer, self._kept = self._kept, []
        try:
            yield
        finally:
            for each in self._kept:
                each.free()
            self._kept = outer


class _KeptIterators:
    """A distributed data set that refers to its iterators."""

    def __init__(self, dataset):
        self._dataset = dataset
        self._iterators = []

    def __iter__(self) -> Iterator[Any]:
        self.free(_IN_USE)
        iterator = iter(self._dataset)
        self._iterators.append(iterator)
        return iterator

    def free(self, but=0):
        count = max(len(self._iterators) - but, 0)
        old, self._iterators = self._iterators[:count], self._iterators[count:]
        if old:
            # Freeing them takes a while. Python waits for the thread before it exits.
            threading.Thread(target=old.clear, name="free_iterators").start()
