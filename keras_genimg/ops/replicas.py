"""Positions of examples in a batch that is split over replicas."""

import contextlib
import threading
from collections.abc import Iterator

import tensorflow as tf

# Each replica runs in a thread, so its place in the batch is kept by thread.
_place = threading.local()


@contextlib.contextmanager
def whole_batch(size: tf.Tensor) -> Iterator[None]:
    """Tell the layers of this replica how many examples all replicas have together.

    A layer cannot ask by itself: a collective operation in `call` lets another replica
    run, and Keras keeps the losses of `add_loss` in a list that both share.

    Args:
        size: Number of examples on all replicas, a scalar.
    """
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    # A strategy fills one replica after the other.
    each = (size + replicas - 1) // replicas
    _place.known = tf.cast(context.replica_id_in_sync_group, size.dtype) * each, size
    try:
        yield
    finally:
        _place.known = None


def place_in_batch(batch_size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return which examples of the whole batch this replica has.

    Noise that depends on an example's place in the whole batch is the same for any
    number of replicas. Outside of `whole_batch`, for example in a custom model, all
    replicas are assumed to have as many examples as this one.

    Args:
        batch_size: Number of examples of this replica, a scalar tensor.

    Returns:
        Two scalar tensors: the place of its first example, and the size of the whole
        batch.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tf.zeros_like(batch_size), batch_size
    known = getattr(_place, "known", None)
    if known is None:
        replica = tf.cast(context.replica_id_in_sync_group, batch_size.dtype)
        return replica * batch_size, context.num_replicas_in_sync * batch_size
    first, size = known
    # An idle replica has an example of zeros, beyond the end.
    size = tf.maximum(size, batch_size)
    return tf.minimum(first, size - batch_size), size
