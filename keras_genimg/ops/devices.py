"""The device that operations run on."""

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf


def current_device() -> str:
    """Return the device of operations made now, such as `".../device:GPU:0"`.

    That is the innermost `tf.device`, also around the call of a `tf.function` that is
    being traced, or a replica's device. Without one, it is a GPU if TensorFlow sees
    any, else the CPU.
    """
    with tf.init_scope():  # Eager operations know their device, also during tracing.
        return tf.zeros(()).device


def is_on_gpu() -> bool:
    """Return whether operations made now run on a GPU."""
    return "GPU" in current_device()


def num_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # macOS and Windows lack it.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Switch TensorFloat-32 off inside a `with` block, in all threads.

    Recent GPUs multiply float32 numbers in this format, which has ten bits of mantissa
    instead of 23. It affects eager operations, and graphs that run inside the block.
    """
    config = tf.config.experimental
    enabled = config.tensor_float_32_execution_enabled()
    config.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        config.enable_tensor_float_32_execution(enabled)
