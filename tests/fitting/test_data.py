"""Several epochs of a data set are read by one iterator."""

import numpy as np
import tensorflow as tf

from keras_genimg.datasets import load
from keras_genimg.datasets.epochs import make_epochs
from keras_genimg.fitting.data import without_pauses
from tests.fitting.one_convolution import one_convolution


def test_fits_see_whole_epochs_and_new_ones(monkeypatch):
    monkeypatch.setattr("keras_genimg.datasets.epochs.BLOCK_BYTES", 1)
    begun = []

    def note(key, index):
        begun.append((key.numpy().tobytes(), int(index)))

    def finish(images, key, index):
        tf.py_function(note, (key, index), [])
        return images

    images = tf.zeros((10, 4, 4, 1), tf.uint8)
    data = make_epochs(
        None, 10, 4, in_memory=images, finish=finish, shuffle_within=10
    ).new_each_pass()
    model = one_convolution((4, 4, 1))
    model.compile("adam", run_eagerly=True)
    history = model.fit(data, epochs=3, verbose=0)
    assert len(history.history["loss"]) == 3
    assert int(model.optimizer.iterations) == 9
    # More may have been read than was used.
    order = list(dict.fromkeys(key for key, _ in begun))[:3]
    for key in order:
        assert sorted(i for k, i in begun if k == key) == [0, 1, 2]
    assert len(order) == 3
    begun.clear()
    model.fit(data, verbose=0)
    assert begun[0][0] != order[0]


def test_what_is_left_as_it_is():
    dataset = load("digits", "test", batch_size=50, shuffle=True)
    assert without_pauses(dataset, {"epochs": 2}, 1)[1] == {
        "epochs": 2,
        "steps_per_epoch": 6,
    }
    for x, arguments, num_replicas in (
        (dataset, {}, 2),
        (dataset, {"steps_per_epoch": 2}, 1),
        (dataset.take(3), {}, 1),
        (np.zeros((2, 8, 8, 1)), {}, 1),
    ):
        assert without_pauses(x, arguments, num_replicas) == (x, arguments)
