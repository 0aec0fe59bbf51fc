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
        `collections.Counter` of `(op, types)`. `types` are sorted names of the types
        that the kernels of the op depend on, such as `("T=int32",)`.
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
        limits = [
            limit for kernel in registered[node.op] for limit in kernel.constraint
        ]
        types = [
            f"{name}={tf.as_dtype(dtype).name}"
            for name in sorted({limit.name for limit in limits})
            for dtype in _types(node, name)
        ]
        found[node.op, tuple(types)] += 1
    return found


def _fits(kernel, node):
    return all(
        set(_types(node, limit.name)) <= set(limit.allowed_values.list.type)
        for limit in kernel.constraint
    )


def _types(node, name):
    value = node.attr[name]
    return list(value.list.type) if value.HasField("list") else [value.type]
