"""TensorFlow without the notices that it prints."""

import contextlib
import logging
import os


def import_tensorflow():
    """Import TensorFlow quietly, unless TF_CPP_MIN_LOG_LEVEL is 0 or 1.

    Some notices are written before that variable is read, and a machine without a GPU
    is told so as an error, so standard error is closed to them during the import. An
    import that fails still raises its exception.
    """
    # A process that this one starts finds the 3, and is to be quiet as well.
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL") or "3"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = level
    if level in ("0", "1"):
        return
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow as tf

        tf.config.list_physical_devices()  # Says what it finds of a GPU.
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


@contextlib.contextmanager
def quiet(name):
    """Let the logger called `name` report errors only."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
