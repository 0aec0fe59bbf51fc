"""TensorFlow without the notices that it prints when it is imported."""

import os


def import_tensorflow():
    """Import TensorFlow quietly, unless TF_CPP_MIN_LOG_LEVEL asks for messages.

    Some notices are written before that variable is read, so standard error is closed
    to them during the import. An import that fails still raises its exception.
    """
    # A process that this one starts finds the 3, and is to be quiet as well.
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "3":
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
