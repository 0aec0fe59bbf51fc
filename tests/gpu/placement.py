"""Running the same code on a GPU and on the CPU."""

import contextlib

import numpy as np
import tensorflow as tf

from keras_genimg.causality.random_weights import randomize

CPU = "CPU"


def on(device):
    """Return a context whose operations run on a kind of device.

    TensorFlow takes a GPU by default where it sees one, so nothing says so here, as in
    a user's program.
    """
    return tf.device(CPU) if device == CPU else contextlib.nullcontext()


def assert_on(device, tensors):
    for tensor in tf.nest.flatten(tensors):
        assert f"device:{device}:" in tensor.device, tensor.device


def assert_close(values, expected, tolerance=1e-4):
    """Compare structures of tensors, each relative to its largest number above 1."""
    tf.nest.assert_same_structure(values, expected)
    for a, b in zip(tf.nest.flatten(values), tf.nest.flatten(expected), strict=True):
        a, b = (np.asarray(x, "float64") for x in (a, b))
        assert np.isfinite(a).all()
        difference = np.abs(a - b).max()
        assert difference <= tolerance * max(1, np.abs(b).max()), difference


def random_twins(case):
    """Return a model with random weights, and the same on the CPU."""
    model = case.make()
    randomize(model, seed=3, gain=1.0)
    with on(CPU):
        twin = case.make()
        twin.set_weights(model.get_weights())
    return model, twin


def labels_of(case, num_images):
    return None if case.num_classes is None else np.arange(num_images) % 2
