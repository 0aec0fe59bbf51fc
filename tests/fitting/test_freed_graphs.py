"""Dropped models leave no graphs behind, and little memory."""

import ctypes
import gc
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.models import DRAW, PixelCNN, PixelRNN
from tests.fitting.alive import collect, graphs
from tests.seldom import weekly_but
from tests.subprocesses import run_forked

pytestmark = pytest.mark.slow

SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(4, *SHAPE)).astype("uint8")
MODELS = {
    "convolutions": lambda: PixelCNN(SHAPE, 2, 1, head_filters=2),
    "row": lambda: PixelRNN(SHAPE, 2, 1, "row", head_filters=2),
    "diagonal": lambda: PixelRNN(SHAPE, 2, 1, head_filters=2),
    "draw": lambda: DRAW(SHAPE, 2, 3, 2, read_size=2, write_size=2),
}


def megabytes():
    """Return the resident memory of the process in megabytes."""
    # Else 50 of them come and go, as the allocator keeps or returns what is free.
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as opened:
        return int(opened.read().split()[1]) * 4096 / 1e6


def fit_and_drop(name):
    """Train a model and drop it; return the number of graphs just before."""
    model = MODELS[name]()
    model.compile(keras.optimizers.SGD(0.01))
    model.fit(IMAGES, batch_size=2, verbose=0)
    return len(graphs())


def check_dropped(name, count):
    """Train and drop models, and check what they leave behind."""
    # Imported objects stay alive, so exclude them from garbage collection.
    gc.collect()
    gc.freeze()
    for _ in range(2):  # Graphs that TensorFlow and Keras create once may stay.
        fit_and_drop(name)
    collect()
    before, known = megabytes(), graphs()
    for _ in range(count):
        assert fit_and_drop(name) > len(known)
        collect()
    left, grown = len(graphs() - known), (megabytes() - before) / count
    assert left == 0, f"{left} graphs left"
    assert grown < 2, f"{grown} megabytes left by each model"


@pytest.mark.parametrize("name", weekly_but(MODELS, "convolutions"))
def test_trained_models_leave_nothing(name, tmp_path):
    # The weekly workflow drops twenty of each kind.
    count = int(os.environ.get("NUM_DROPPED_MODELS", 3))
    run_forked(check_dropped, name, count, output=tmp_path / "printed")


def take_gradients_and_drop(name):
    model = MODELS[name]()

    @tf.function(autograph=False)
    def step(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(images))
        return tape.gradient(loss, model.trainable_variables)

    step(IMAGES.astype("float32"))
    return len(graphs())


@pytest.mark.parametrize("name", weekly_but(["row", "diagonal", "draw"], "diagonal"))
def test_gradients_in_a_graph_leave_no_graph(name):
    known = graphs()
    assert take_gradients_and_drop(name) > len(known) + 1
    collect()
    assert len(graphs() - known) == 0
