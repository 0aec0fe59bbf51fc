"""Function graphs shared by the layers of a network."""

import functools
import weakref

import tensorflow as tf

_functions = weakref.WeakKeyDictionary()


def traced_once(function):
    """Trace a function once per graph for all calls with the same shapes.

    Many layers of a network have maps of the same shape. Tracing the loop of each layer
    again would take most of the time before the first step, and most of the bytes of an
    export. In eager execution, the function runs without tracing.

    A trace lives as long as the graph that calls it, so that a process that builds many
    models does not accumulate traces.

    Args:
        function: Function of tensors, integers and tuples of integers. It must not use
            tensors other than its arguments.
    """

    @functools.wraps(function)
    def call(*arguments):
        if tf.executing_eagerly():
            return function(*arguments)
        shared = _functions.setdefault(tf.compat.v1.get_default_graph(), {})
        if function not in shared:
            shared[function] = tf.function(function, autograph=False)
        return shared[function](*arguments)

    return call
