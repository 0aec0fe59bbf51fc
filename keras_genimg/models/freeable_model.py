"""Keras models whose graphs can be freed."""

from typing import Any

import keras
import tensorflow as tf


class FreeableModel(keras.Model):
    """Keras model that leaves no graph behind when it has been trained and dropped.

    Keras sums the gradients of all replicas with `ReplicaContext.all_reduce`, whose
    `tf.custom_gradient` TensorFlow 2.21 registers for good, and with it the graph of
    the training step. Without a distribution strategy there is one replica and nothing
    to sum: in a cross-replica context Keras leaves that out. `LossScaleOptimizer`,
    which Keras takes for float16, refuses that context, so there the graph stays.
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
