"""Runs of a SavedModel with TensorFlow's two loaders in Python."""

import contextlib
import logging

import numpy as np
import tensorflow as tf


def run_loaded(directory, inputs):
    """Return what signatures give that `tf.saved_model.load` has loaded.

    Args:
        directory: Path of the SavedModel.
        inputs: Dict by name of signature of dicts of arrays.

    Returns:
        Dict by name of signature: a dict of arrays, or the error.
    """
    with tf.device("CPU"):
        with _quiet(logging.getLogger("absl")):  # It warns of gradients.
            loaded = tf.saved_model.load(directory)

        def run(name, given):
            given = {key: tf.constant(value) for key, value in given.items()}
            outputs = loaded.signatures[name](**given)
            return {key: tensor.numpy() for key, tensor in outputs.items()}

        return _each(run, inputs)


def run_in_session(directory, graph, inputs):
    """Return what signatures give in a session of TensorFlow 1, as a server has one.

    Args:
        directory: Path of the SavedModel.
        graph: Its `SavedGraph`.
        inputs: As in `run_loaded`.

    Returns:
        As `run_loaded`.
    """
    config = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
    with tf.compat.v1.Session(graph=tf.Graph(), config=config) as session:
        with _quiet(tf.get_logger()):  # The loader is deprecated, as we know.
            tf.compat.v1.saved_model.load(session, graph.tags, directory)

        def run(name, given):
            signature = graph.signatures[name]
            outputs = {key: info.name for key, info in signature.outputs.items()}
            feed = {signature.inputs[key].name: value for key, value in given.items()}
            return session.run(outputs, feed)

        return _each(run, inputs)


@contextlib.contextmanager
def _quiet(logger):
    """Let a logger tell errors only."""
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _each(run, inputs):
    results = {}
    for name, given in inputs.items():
        try:
            outputs = run(name, given)
            results[name] = {
                key: np.asarray(value, object if isinstance(value, bytes) else None)
                for key, value in outputs.items()
            }
        except Exception as error:  # Whatever a graph may do is a finding.
            results[name] = error
    return results
