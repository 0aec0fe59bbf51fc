"""Run a SavedModel with TensorFlow's two Python loaders."""

import contextlib
import logging

import numpy as np
import tensorflow as tf


def run_loaded(directory, inputs):
    """Run signatures loaded with `tf.saved_model.load`.

    Args:
        directory: Path of the SavedModel.
        inputs: Dict by name of signature of dicts of arrays.

    Returns:
        Dict by name of signature of a dict of arrays, or of the error raised.
    """
    with tf.device("CPU"):
        with _quiet(logging.getLogger("absl")):  # Warns about gradients.
            loaded = tf.saved_model.load(directory)

        def run(name, given):
            given = {key: tf.constant(value) for key, value in given.items()}
            outputs = loaded.signatures[name](**given)
            return {key: tensor.numpy() for key, tensor in outputs.items()}

        return _each(run, inputs)


def run_in_session(directory, graph, inputs):
    """Run signatures in a TensorFlow 1 session, which a server uses.

    Args:
        directory: Path of the SavedModel.
        graph: Its `SavedGraph`.
        inputs: See `run_loaded`.

    Returns:
        See `run_loaded`.
    """
    config = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
    with tf.compat.v1.Session(graph=tf.Graph(), config=config) as session:
        with _quiet(tf.get_logger()):  # Warns that the loader is deprecated.
            tf.compat.v1.saved_model.load(session, graph.tags, directory)

        def run(name, given):
            signature = graph.signatures[name]
            outputs = {key: info.name for key, info in signature.outputs.items()}
            feed = {signature.inputs[key].name: value for key, value in given.items()}
            return session.run(outputs, feed)

        return _each(run, inputs)


@contextlib.contextmanager
def _quiet(logger):
    """Let a logger report errors only."""
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
        except Exception as error:  # Reported by the caller.
            results[name] = error
    return results
