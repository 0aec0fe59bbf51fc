"""Data sets that TensorFlow does not tune, so that tests do not wait for it."""

from unittest import mock

import tensorflow as tf
from tensorflow.python.data.ops import dataset_ops


def leave_datasets_untuned():
    """Turn tuning off for every iterator that this process makes from now on.

    TensorFlow tunes a data set in a thread that sleeps for up to a minute, and waits
    for this thread when it frees the iterator. That is at the end of training, and in
    Python's garbage collection, which once took half a minute.
    """
    # All iterators are made of what this method returns. Raises if it is gone.
    mock.patch.object(dataset_ops.DatasetV2, "_apply_debug_options", untuned).start()


def untuned(dataset):
    """Return a data set that TensorFlow does not tune."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
