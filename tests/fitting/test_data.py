"""Several epochs of a data set are read by one iterator."""

import numpy as np
import tensorflow as tf

from keras_genimg.datasets import load
from keras_genimg.datasets.epochs import make_epochs
from keras_genimg.fitting.data import without_pauses
from keras_genimg.models import VAE


def numbered_epochs():
    """Epochs of ten images, batches of four, and the list of keys that began one."""
    begun = []

    def note(key, index):
        begun.append((key.numpy().tobytes(), int(index)))

    def finish(images, key, index):
        tf.py_function(note, (key, index), [])
        return images

    images = np.random.default_rng(0).integers(0, 2, (10, 4, 4, 1), dtype="uint8")
    return begun, make_epochs(
        None, 10, 4, in_memory=tf.constant(images), finish=finish, shuffle_within=10
    )


def test_fit_sees_whole_epochs(monkeypatch):
    monkeypatch.setattr("keras_genimg.datasets.epochs.BLOCK_BYTES", 1)
    begun, epochs = numbered_epochs()
    model = VAE((4, 4, 1), 2, 4)
    model.compile("adam")
    history = model.fit(epochs.new_each_pass(), epochs=3, verbose=0)
    assert len(history.history["loss"]) == 3
    assert int(model.optimizer.iterations) == 9
    keys = [key for key, _ in begun]
    # More may have been read than was used.
    order = list(dict.fromkeys(keys))[:3]
    for key in order:
        assert sorted(i for k, i in begun if k == key) == [0, 1, 2]
    assert len(order) == 3


def test_each_fit_sees_new_epochs():
    begun, epochs = numbered_epochs()
    model = VAE((4, 4, 1), 2, 4)
    model.compile("adam")
    data = epochs.new_each_pass()
    used = []
    for _ in range(3):
        begun.clear()
        model.fit(data, epochs=1, verbose=0)
        used.append(begun[0][0])
    assert len(set(used)) == 3


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
