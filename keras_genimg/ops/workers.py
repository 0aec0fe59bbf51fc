"""The processes that train one model together."""

import random

import tensorflow as tf


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process writes files for all workers."""
    return strategy.extended.should_checkpoint


def sum_over_workers(strategy: tf.distribute.Strategy, number: float) -> float:
    """Return the sum of a number over all replicas; all workers must call this."""

    @tf.function(autograph=False)
    def total():
        numbers = strategy.run(lambda: tf.constant(number, tf.float64))
        return strategy.reduce("SUM", numbers, axis=None)

    return float(total())


def shared_seed(strategy: tf.distribute.Strategy) -> int:
    """Return a random seed, the same on all workers; all of them must call this.

    There are several, see `is_multi_worker`.
    """
    # Every worker draws a number, though only the chief's counts, so that the state of
    # `random` stays the same on all of them.
    drawn = random.randrange(2**31)
    from_chief = drawn if is_chief(strategy) else 0
    replicas_here = len(strategy.extended.worker_devices)
    return int(sum_over_workers(strategy, from_chief)) // replicas_here
