"""Training does not wait while TensorFlow frees the iterators of its data."""

import contextlib
import threading
import time
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.fitting.workarounds import IteratorKeeper
from tests.fitting.one_convolution import one_convolution

IMAGES = np.zeros((8, 4, 4, 1), "uint8")


@pytest.fixture(params=["no strategy", "mirrored"])
def model(request):
    scope = contextlib.nullcontext()
    if request.param == "mirrored":
        scope = tf.distribute.MirroredStrategy(["/cpu:0"]).scope()
    with scope:
        model = one_convolution((4, 4, 1))
        model.compile("sgd")
    return model


class Freed(keras.callbacks.Callback):
    """Records the iterators that steps read, and the threads that free them."""

    def __init__(self):
        super().__init__()
        self.read = 0
        self.threads = []
        self._seen = weakref.WeakSet()

    def _watched(self, step):
        def watched(iterator):
            if iterator not in self._seen:
                self._seen.add(iterator)
                self.read += 1
                weakref.finalize(iterator, self._record)
            return step(iterator)

        return watched

    def _record(self):
        self.threads.append(threading.current_thread().name)

    def on_train_begin(self, logs=None):
        self.model.train_function = self._watched(self.model.train_function)

    def on_test_begin(self, logs=None):
        self.model.test_function = self._watched(self.model.test_function)

    def wait(self):
        end = time.monotonic() + 60
        while len(self.threads) < self.read and time.monotonic() < end:
            time.sleep(0.01)
        return set(self.threads)


@pytest.mark.slow
@pytest.mark.parametrize("arrays", [True, False])
def test_fit_frees_iterators_in_another_thread(model, arrays):
    data = IMAGES if arrays else tf.data.Dataset.from_tensors(IMAGES).repeat(2)
    freed = Freed()
    model.fit(data, epochs=5, validation_data=data, callbacks=[freed], verbose=0)
    assert freed.wait() == {"free_iterators"}
    assert len(freed.threads) == freed.read >= 6


def test_evaluate_frees_its_iterator_in_another_thread(model):
    freed = Freed()
    model.evaluate(IMAGES, callbacks=[freed], verbose=0)
    assert freed.wait() == {"free_iterators"}
    assert freed.read == 1


@pytest.mark.slow
def test_iterators_of_a_callback_are_not_kept_until_training_ends(model):
    freed, counts = Freed(), []

    def evaluate(epoch, logs):
        model.evaluate(IMAGES, callbacks=[freed], verbose=0)
        freed.wait()
        counts.append(len(freed.threads))

    callback = keras.callbacks.LambdaCallback(on_epoch_end=evaluate)
    model.fit(IMAGES, epochs=3, callbacks=[callback], verbose=0)
    assert counts == [1, 2, 3]


def test_few_iterators_are_kept():
    """In long training, too, and none after an error."""

    class Iterator:
        def __next__(self):
            raise StopIteration

    class Dataset:
        def __iter__(self):
            made.append(weakref.ref(iterator := Iterator()))
            return iterator

    class EpochIterator:
        _distributed_dataset = Dataset()

    def number_alive():
        for thread in threading.enumerate():
            if thread.name == "free_iterators":
                thread.join()
        return sum(reference() is not None for reference in made)

    made = []
    keeper, epoch_iterator = IteratorKeeper(), EpochIterator()
    with pytest.raises(KeyError), keeper.freed_at_the_end():
        for _ in range(10):
            keeper.keep(epoch_iterator)
            iter(epoch_iterator._distributed_dataset)
        assert number_alive() == 4
        raise KeyError
    assert number_alive() == 0
