"""Operations of a graph that have no kernel for a device."""

import collections

import tensorflow as tf
from tensorflow.python.framework import kernels

# Kernels that a GPU runs. Those for `DEFAULT` suit any device.
GPU = frozenset({"GPU", "DEFAULT"})
# Kernels of XLA for GPUs. TensorFlow registers them when it first compiles anything.
XLA_GPU = frozenset({"XLA_GPU_JIT"})


def graph_of(function, *specs):
    """Return the graph of a function, given the specs of its arguments."""
    return tf.function(function, autograph=False).get_concrete_function(*specs).graph


def nodes_of(graph, **options):
    """Return the nodes of a graph, including those of all functions that it calls."""
    graph_def = graph.as_graph_def(**options)
    bodies = [function.node_def for function in graph_def.library.function]
    return [node for body in (graph_def.node, *bodies) for node in body]


def without_kernel(graph, devices=GPU):
    """Return the operations that no kernel of the devices can run.

    A kernel fits if the op has that name and all types are among those that it was
    registered for, as in TensorFlow's own placement.

    Args:
        graph: Graph of a concrete function.
        devices: Set of device types.

    Returns:
        `collections.Counter` of `(op, types)`, with types such as `("T=int32",)`.
    """
    found = collections.Counter()
    registered = {}
    for node in nodes_of(graph):
        if node.op not in registered:
            registered[node.op] = kernels.get_registered_kernels_for_op(node.op).kernel
        if any(
            kernel.device_type in devices and _fits(kernel, node)
            for kernel in registered[node.op]
        ):
            continue
        types = [
            f"{name}={tf.as_dtype(value.type).name}"
            for name, value in sorted(node.attr.items())
            if value.type
        ]
        found[node.op, tuple(types)] += 1
    return found


def _fits(kernel, node):
    """Return whether a kernel was registered for the types of a node."""
    for limit in kernel.constraint:
        value = node.attr[limit.name]
        types = value.list.type if value.HasField("list") else [value.type]
        if not set(types) <= set(limit.allowed_values.list.type):
            return False
    return True
