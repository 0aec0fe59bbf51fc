"""The processes that train one model together."""

import random

import tensorflow as tf


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Return whether replicas are in several processes."""
    return strategy.extended._in_multi_worker_mode()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process writes files for all workers."""
    if not is_multi_worker(strategy):
        return True
    resolver = strategy.cluster_resolver
    kind, number = resolver.task_type, resolver.task_id
    if "chief" in resolver.cluster_spec().jobs:
        return kind == "chief"
    return kind == "worker" and number == 0


def sum_over_workers(strategy: tf.distribute.Strategy, number: float) -> float:
    """Return the sum of a number over all replicas; all workers must call this."""

    @tf.function(autograph=False)
    def total():
        numbers = strategy.run(lambda: tf.constant(number, tf.float64))
        return strategy.reduce("SUM", numbers, axis=None)

    return float(total())


def shared_seed(strategy: tf.distribute.Strategy) -> int:
    """Return a random seed, the same on all workers; all of them must call this."""
    replicas_here = strategy.num_replicas_in_sync
    if is_multi_worker(strategy):
        replicas_here = len(strategy.extended.worker_devices)
    # All draw, so that the state of `random` stays the same on all workers.
    drawn = random.randrange(2**31)
    from_chief = drawn if is_chief(strategy) else 0
    return int(sum_over_workers(strategy, from_chief)) // replicas_here
