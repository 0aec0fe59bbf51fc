import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# `pytest -n 2` has a worker per core; more threads would only compete.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
# Nor does the first of them take all memory of a GPU.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

import keras  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.python.data.ops import dataset_ops  # noqa: E402


def untuned(dataset):
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


# Every iterator is made of what this returns. TensorFlow tunes data sets in threads
# that sleep for up to a minute, and waits for such a thread when it frees an iterator.
# Here that is in Python's garbage collection, which once took half a minute.
dataset_ops.DatasetV2._apply_debug_options = untuned


def pytest_collection_finish():
    # Imported objects stay alive, so exclude them from garbage collection. Tracing
    # makes many objects that live for a while, so collect less often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(autouse=True)
def fixed_seed():
    keras.utils.set_random_seed(0)
    yield
    keras.mixed_precision.set_global_policy("float32")
