"""Graphs that the layers of a network share."""

import functools
import weakref

import tensorflow as tf

_functions = weakref.WeakKeyDictionary()


def traced_once(function):
    """Trace a function once a graph for all layers that call it with the same shapes.

    A network has many layers whose maps are alike. Were the loop of each traced anew,
    this would take most of the time before the first step, and most of the bytes of an
    export. Eagerly the function runs as it is.

    What is traced lives as long as the graph that calls it, so that nothing piles up in
    a process that makes many models.

    Args:
        function: Function of tensors, and of integers or tuples of them, that uses no
            tensor but its arguments.
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
