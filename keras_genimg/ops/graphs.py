"""Function graphs that many layers share, and that are freed with their model."""

import contextlib
import contextvars
import functools
import weakref
from collections.abc import Callable

import tensorflow as tf

from keras_genimg.keras_private import is_for_xla

_functions = weakref.WeakKeyDictionary()
_FEWEST_ROWS = 16
_eager_traces = contextvars.ContextVar("eager_traces", default=None)


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


def traced_once(function, batched=0):
    """Trace a function once per graph for all calls with the same shapes.

    Many layers of a network have maps of the same shape. Tracing the loop of each layer
    again would take most of the time before the first step, and most of the bytes of an
    export. In eager execution, the function runs without tracing, except in a
    `shared_eager_traces` block. In a graph for XLA, each call is traced.

    A trace lives as long as the graph that calls it, so that a process that builds many
    models does not accumulate traces.

    Args:
        function: Function of tensors, integers, None and tuples of these. It must not
            use tensors other than its arguments.
        batched: Number of first arguments whose first axis is a batch. One trace in
            eager execution serves batches of all sizes.
    """

    @functools.wraps(function)
    def call(*arguments):
        if tf.executing_eagerly():
            traces = _eager_traces.get()
            if traces is None or not batched:
                return function(*arguments)
            specs = [_spec(x, n < batched) for n, x in enumerate(arguments)]
            key = function, *specs
            if key not in traces:
                trace = tf.function(function, autograph=False)
                traces[key] = trace.get_concrete_function(*specs)
            return traces[key](*arguments)
        graph = tf.compat.v1.get_default_graph()
        # XLA would compile a training step again for each batch. Its gradient takes
        # shapes from the trace, and to XLA (TensorFlow 2.21) all arguments of a call
        # are constants if one of its results must be.
        if is_for_xla(graph):
            return function(*arguments)
        shared = _functions.setdefault(graph, {})
        traced = shared.setdefault(function, tf.function(function, autograph=False))
        return traced(*arguments)

    return call


# Operations of `tf.random` and `tf.random.Generator` that keep a state.
_RANDOM = {
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "RandomGamma",
    "RandomPoisson",
    "RandomPoissonV2",
    "RandomShuffle",
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "RngReadAndSkip",
    "RngSkip",
    "StatefulRandomBinomial",
    "StatefulStandardNormal",
    "StatefulStandardNormalV2",
    "StatefulTruncatedNormal",
    "StatefulUniform",
    "StatefulUniformFullInt",
    "StatefulUniformInt",
    "TruncatedNormal",
}


def random_operations(function) -> list[str]:
    """Return the operations of a concrete function that draw numbers without a seed.

    Args:
        function: Result of `tf.function.get_concrete_function`. Functions that it calls
            are searched too.
    """
    graph = function.graph.as_graph_def()
    nodes = [*graph.node]
    for called in graph.library.function:
        nodes += called.node_def
    return sorted({node.op for node in nodes} & _RANDOM)


@contextlib.contextmanager
def shared_eager_traces(num_rows: int):
    """Return a context in which eager loops over the rows of images are compiled.

    An eager loop of 55 steps takes longer than to trace it once and to run the trace;
    a loop over fewer than sixteen rows does not. The traces are freed when the
    outermost such block ends.
    """
    if num_rows < _FEWEST_ROWS or _eager_traces.get() is not None:
        yield
        return
    token = _eager_traces.set({})
    try:
        yield
    finally:
        _eager_traces.reset(token)


def _spec(value, is_batched):
    """Return a value that is equal for arguments that can share a trace."""
    if not tf.is_tensor(value):
        return value
    shape = [None, *value.shape[1:]] if is_batched else value.shape
    return tf.TensorSpec(shape, value.dtype)
