"""Operations of a graph that have no kernel for a device."""

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
        Set of `(op, types)`, with types such as `("T=int32",)`.
    """
    nodes = nodes_of(graph)
    registered = {
        op: kernels.get_registered_kernels_for_op(op).kernel
        for op in {node.op for node in nodes}
    }
    return {
        (node.op, tuple(_types_of(node)))
        for node in nodes
        if not any(_fits(kernel, node, devices) for kernel in registered[node.op])
    }


def _types_of(node):
    for name, value in sorted(node.attr.items()):
        if value.type:
            yield f"{name}={tf.as_dtype(value.type).name}"


def _fits(kernel, node, devices):
    """Return whether a kernel is for one of the devices, and for a node's types."""
    if kernel.device_type not in devices:
        return False
    for limit in kernel.constraint:
        value = node.attr[limit.name]
        types = value.list.type if value.HasField("list") else [value.type]
        if not set(types) <= set(limit.allowed_values.list.type):
            return False
    return True
