"""Iterators of training data that are freed beside training."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

# Keras still refers to the last ones: to the one of the finished epoch, to one that it
# makes at the end of an epoch and drops, and to the new one.
_IN_USE = 3


class IteratorKeeper:
    """Keeps the iterators of `fit` and `evaluate`, to free them in another thread.

    To free an iterator, TensorFlow waits for the thread that tunes it, which may sleep
    for a minute. Keras makes new iterators in each epoch. Where a strategy has several
    replicas, it makes them of data sets of its own, whose tuning no option turns off,
    and an epoch could take twice as long.
    """

    def __init__(self):
        self._kept: list[_KeptIterators] = []

    def keep(self, epoch_iterator: Any) -> None:
        """Keep the iterators that Keras makes from now on.

        Args:
            epoch_iterator: Keras' `TFEpochIterator`.
        """
        dataset = getattr(epoch_iterator, "_distributed_dataset", None)
        if dataset is not None and not isinstance(dataset, _KeptIterators):
            epoch_iterator._distributed_dataset = _KeptIterators(dataset)
            self._kept.append(epoch_iterator._distributed_dataset)

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
            # Python waits for this thread before it exits.
            threading.Thread(target=old.clear, name="free_iterators").start()
