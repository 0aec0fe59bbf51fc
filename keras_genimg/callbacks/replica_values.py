"""Values of variables that each replica keeps for itself."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf


class ReplicaValues:
    """Read and write variables that each replica keeps for itself, such as metrics.

    Their sum alone is not enough to continue exactly: with its parts on other replicas,
    later sums are rounded in another way.

    All workers must call the methods together.

    Args:
        strategy: The `tf.distribute.Strategy` of the variables.
        variables: Keras variables with `synchronization="on_read"`.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        variables: Sequence[keras.Variable],
    ):
        self.strategy = strategy
        self.variables = list(variables)
        # Traced once for all states of a run.
        self._gather = tf.function(self._gathered, autograph=False)

    def read(self) -> list[np.ndarray]:
        """Return each variable's values of all replicas, along a new first axis."""
        if self.strategy.num_replicas_in_sync == 1:
            return [np.asarray(v.numpy())[None] for v in self.variables]
        return [np.asarray(value) for value in self._gather()]

    def write(self, values: Sequence[np.ndarray]) -> None:
        """Set the variables to what `read` returned.

        If that was on another number of replicas, only the sums are kept.
        """
        replicas = self.strategy.num_replicas_in_sync
        if replicas == 1 or any(len(value) != replicas for value in values):
            for variable, value in zip(self.variables, values, strict=True):
                variable.assign(value.sum(axis=0))
            return

        def assign():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            for variable, value in zip(self.variables, values, strict=True):
                variable.assign(tf.constant(value)[replica])

        tf.function(lambda: self.strategy.run(assign), autograph=False)()

    def _gathered(self):
        parts = self.strategy.run(
            lambda: [tf.convert_to_tensor(v)[None] for v in self.variables]
        )
        return [self.strategy.gather(part, axis=0) for part in parts]
