"""Training does not wait while TensorFlow frees the iterators of its data."""

import threading
import types
import weakref

import keras
import pytest
import tensorflow as tf

from keras_genimg.fitting.workarounds import _KeptIterators
from tests.inputs.sources import IMAGES, small


@pytest.fixture(params=["no strategy", "mirrored"])
def model(request):
    if request.param == "no strategy":
        return small()
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        return small()


@pytest.fixture
def freed(monkeypatch):
    """Record the iterators that Keras makes, and the threads that free them."""
    freed = types.SimpleNamespace(made=0, kept=0, threads=[])
    make = _KeptIterators.__iter__

    def record():
        freed.threads.append(threading.current_thread().name)

    def recorded(dataset):
        iterator = make(dataset)
        freed.made += 1
        freed.kept = max(freed.kept, len(dataset._iterators))
        weakref.finalize(iterator, record)
        return iterator

    monkeypatch.setattr(_KeptIterators, "__iter__", recorded)
    return freed


def number_alive(freed):
    for thread in threading.enumerate():
        if thread.name == "free_iterators":
            thread.join()
    return freed.made - len(freed.threads)


@pytest.mark.slow
@pytest.mark.parametrize("arrays", [True, False])
def test_fit_frees_iterators_in_another_thread(model, freed, arrays):
    """`fit` frees each iterator while it runs, so that few are kept."""
    data = IMAGES if arrays else tf.data.Dataset.from_tensors(IMAGES).repeat(2)
    model.fit(data, epochs=5, validation_data=data, verbose=0)
    assert number_alive(freed) == 0
    assert set(freed.threads) == {"free_iterators"}
    assert freed.made >= 6
    assert freed.kept <= 4


def test_evaluate_frees_its_iterator_in_another_thread(model, freed):
    model.evaluate(IMAGES, verbose=0)
    assert number_alive(freed) == 0
    assert set(freed.threads) == {"free_iterators"}


@pytest.mark.slow
def test_iterators_of_a_callback_are_not_kept_until_training_ends(model, freed):
    more = []

    def evaluate(epoch, logs):
        before = number_alive(freed)
        model.evaluate(IMAGES, verbose=0)
        more.append(number_alive(freed) - before)

    callback = keras.callbacks.LambdaCallback(on_epoch_end=evaluate)
    model.fit(IMAGES, epochs=3, callbacks=[callback], verbose=0)
    assert more == [0, 0, 0]


def test_no_iterator_is_kept_after_an_error(model, freed):
    fails = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: {}[epoch])
    with pytest.raises(KeyError):
        model.fit(IMAGES, callbacks=[fails], verbose=0)
    assert freed.made > number_alive(freed) == 0
