"""Hand-written gradients that do not keep their graphs alive."""

import functools
import weakref
from collections.abc import Callable

import tensorflow as tf


def custom_gradient(function: Callable) -> Callable:
    """Give a function a hand-written gradient; drop-in for `tf.custom_gradient`.

    TensorFlow 2.21 registers each traced gradient under a new name and never removes
    it. The registered object refers to the graph through the gradient function and
    through the list of outputs, of which only the length is needed. A process that
    builds many models would therefore keep all their graphs. Here, the first reference
    is weak and the second is dropped. The gradient function lives as long as the graph
    that it was traced in.

    Args:
        function: Function of tensors that returns a list of tensors and a gradient
            function. The latter maps the gradients of the outputs to a list of the
            gradients of the arguments, with None for arguments without a gradient.

    Returns:
        A function of the same arguments that returns the list of tensors.
    """

    @functools.wraps(function)
    def call(*tensors):
        if tf.executing_eagerly():
            # Eager execution registers nothing.
            return tf.custom_gradient(function)(*tensors)
        graph = tf.compat.v1.get_default_graph()
        registered = []

        def traced(*tensors):
            outputs, gradient = function(*tensors)
            registered.extend(outputs)
            if not hasattr(graph, "keras_genimg_gradients"):
                graph.keras_genimg_gradients = []
            graph.keras_genimg_gradients.append(gradient)
            reference = weakref.ref(gradient)
            return registered, lambda *gradients: reference()(*gradients)

        outputs = tf.custom_gradient(traced)(*tensors)
        with tf.init_scope():
            registered[:] = [tf.constant(0.0)] * len(registered)
        return outputs

    return call
