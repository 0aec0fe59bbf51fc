"""A process that makes, trains and drops many models does not grow by their graphs."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph

from keras_genimg.models import DRAW, PixelCNN, PixelRNN

SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(4, *SHAPE)).astype("uint8")
RECURRENT = {
    "row": lambda: PixelRNN(SHAPE, 2, 1, "row", head_filters=2),
    "diagonal": lambda: PixelRNN(SHAPE, 2, 1, head_filters=2),
    "draw": lambda: DRAW(SHAPE, 2, 3, 2, read_size=2, write_size=2),
}
OTHERS = {"convolutions": lambda: PixelCNN(SHAPE, 2, 1, head_filters=2)}


def graphs():
    """Return the graphs of functions that are alive."""
    return weakref.WeakSet(o for o in gc.get_objects() if isinstance(o, FuncGraph))


def megabytes():
    """Return the memory that the process holds."""
    with open("/proc/self/statm") as opened:
        return int(opened.read().split()[1]) * 4096 / 1e6


def collect():
    # Some graphs are found to be garbage only once others are gone.
    while gc.collect():
        pass


def fit_and_drop(make, **options):
    model = make()
    model.compile(keras.optimizers.SGD(0.01), **options)
    model.fit(IMAGES, batch_size=2, verbose=0)
    return len(graphs())


def left_by(make, **options):
    """Return how many graphs are left by a model that is dropped."""
    collect()
    before = graphs()
    assert fit_and_drop(make, **options) > len(before)
    collect()
    return len(graphs() - before)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RECURRENT, *OTHERS])
def test_a_trained_model_leaves_no_graph(name):
    make = {**RECURRENT, **OTHERS}[name]
    left_by(make)  # What TensorFlow and Keras make once may stay.
    assert left_by(make) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", RECURRENT)
def test_twenty_models_leave_little(name):
    for _ in range(3):
        fit_and_drop(RECURRENT[name])
    collect()
    before, known = megabytes(), graphs()
    for _ in range(20):
        fit_and_drop(RECURRENT[name])
        collect()
    assert len(graphs() - known) == 0
    assert (megabytes() - before) / 20 < 2


def take_gradients_and_drop(make):
    model = make()

    @tf.function(autograph=False)
    def step(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(images))
        return tape.gradient(loss, model.trainable_variables)

    step(IMAGES.astype("float32"))
    return len(graphs())


@pytest.mark.parametrize("name", RECURRENT)
def test_gradients_in_a_graph_leave_no_graph(name):
    known = graphs()
    assert take_gradients_and_drop(RECURRENT[name]) > len(known) + 1
    collect()
    assert len(graphs() - known) == 0
