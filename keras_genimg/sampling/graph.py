"""Walks over the graphs of functional models."""

import keras


def walk(model, values, call):
    """Visit the operations of a functional model in the order of computation.

    Args:
        model: A functional model. Inner models and layers are visited as one operation.
        values: Values of its inputs, in the order of `model.inputs`.
        call: Function of an operation, and of the arguments of its call in the graph,
            with values instead of tensors. It returns the values of the outputs as a
            flat list.

    Returns:
        The values of the outputs, in the structure of `model.output`.
    """
    # A new one, since subclasses of `keras.Model` may add to the walk.
    graph = keras.Function(list(model.inputs), list(model.outputs))
    outputs = graph._run_through_graph(values, lambda operation: operation, call)
    is_sequence = isinstance(model, keras.Sequential)
    structure = model.outputs if is_sequence else model.output
    return keras.tree.pack_sequence_as(structure, outputs)


def input_like(spec):
    """Return a new symbolic input of the shape and dtype of a `keras.KerasTensor`."""
    return keras.Input(batch_shape=spec.shape, dtype=spec.dtype)


def is_functional(operation):
    """Return whether an operation is a model that runs its own graph.

    That is a functional or sequential one, unless a subclass overrides `call`.
    """
    if not isinstance(operation, keras.Model) or "call" in vars(operation):
        return False
    definer = next(kind for kind in type(operation).__mro__ if "call" in vars(kind))
    return definer.__name__ in ("Functional", "Sequential", "GenerativeModel")


def is_composite(operation):
    """Return whether an operation is a layer made of other layers.

    A layer can declare this with an attribute `composite`. Otherwise, it is composite
    if it has inner layers.
    """
    if not isinstance(operation, keras.Layer):
        return False
    said = getattr(operation, "composite", None)
    if said is not None:
        return bool(said)
    leaves = keras.tree.flatten(list(vars(operation).values()))
    return any(isinstance(leaf, keras.Layer) for leaf in leaves)
