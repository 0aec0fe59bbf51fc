"""Dropped models leave no graphs behind."""

import os

import pytest
import tensorflow as tf

from keras_genimg.models import PixelCNN
from tests.fitting.drop_models import (
    IMAGES,
    MODELS,
    SHAPE,
    collect,
    fit_and_drop,
    graphs,
)
from tests.seldom import weekly_but
from tests.subprocesses import run_python

pytestmark = pytest.mark.slow


def left_by(make):
    """Return the number of graphs left by a dropped model."""
    collect()
    before = graphs()
    assert fit_and_drop(make) > len(before)
    collect()
    return len(graphs() - before)


def test_trained_convolutions_leave_no_graph():
    def make():
        return PixelCNN(SHAPE, 2, 1, head_filters=2)

    left_by(make)  # Graphs that TensorFlow and Keras create once may stay.
    assert left_by(make) == 0


@pytest.mark.weekly
def test_dropped_models_leave_little():
    # The weekly workflow drops twenty of each kind.
    count = os.environ.get("NUM_DROPPED_MODELS", "3")
    lines = run_python("-m", "tests.fitting.drop_models", count).splitlines()
    found = {name: (int(n), float(mb)) for name, n, mb in map(str.split, lines)}
    assert set(found) == set(MODELS)
    for graphs_left, megabytes in found.values():
        assert graphs_left == 0
        assert megabytes < 2


def take_gradients_and_drop(make):
    model = make()

    @tf.function(autograph=False)
    def step(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(images))
        return tape.gradient(loss, model.trainable_variables)

    step(IMAGES.astype("float32"))
    return len(graphs())


@pytest.mark.parametrize("name", weekly_but(MODELS, "diagonal"))
def test_gradients_in_a_graph_leave_no_graph(name):
    known = graphs()
    assert take_gradients_and_drop(MODELS[name]) > len(known) + 1
    collect()
    assert len(graphs() - known) == 0
