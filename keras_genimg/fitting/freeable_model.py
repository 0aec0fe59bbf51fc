"""Keras models whose graphs can be freed."""

from typing import Any

import keras
import tensorflow as tf


class FreeableModel(keras.Model):
    """Keras model whose training graph is freed when the model is dropped.

    Keras sums the gradients of all replicas with `ReplicaContext.all_reduce`.
    TensorFlow 2.21 registers its `tf.custom_gradient` permanently, which keeps the
    graph of the training step alive. Without a distribution strategy, there is only one
    replica, and in a cross-replica context Keras skips the sum. `LossScaleOptimizer`,
    which Keras uses for float16, does not work in that context, so those graphs are not
    freed.
    """

    def train_step(self, data: Any) -> dict[str, Any]:
        step = super().train_step
        needs_replica = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        if (
            needs_replica
            or tf.distribute.has_strategy()
            or tf.distribute.in_cross_replica_context()
        ):
            return step(data)
        return tf.distribute.get_replica_context().merge_call(lambda _: step(data))
