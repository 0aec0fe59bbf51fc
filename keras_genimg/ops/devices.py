"""The device that operations run on."""

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
