"""Walks over the graphs of functional models."""

import keras


class _StandIn(keras.Operation):
    """Substitute for an operation, so that a walk adds no node to the operation itself.

    Args:
        operation: The Keras layer or operation.
    """

    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def compute_output_spec(self, *args, **kwargs):
        return self.operation.compute_output_spec(*args, **kwargs)


def walk(model, values, call):
    """Visit the operations of a functional model in the order of computation.

    Args:
        model: A functional model. Inner models and layers are visited as one operation.
        values: Values of its inputs, in the order of `model.inputs`.
        call: Function of `(operation, args, kwargs, specs)`. The arguments are those of
            the operation's call, with values instead of tensors; `specs` is the
            structure of `keras.KerasTensor` that the operation returns. The function
            returns the values of the outputs as a flat list.

    Returns:
        The values of the outputs, in the structure of `model.output`.
    """
    inputs = [input_like(spec) for spec in model.inputs]
    # References to the tensors prevent reuse of their ids.
    known = {
        id(tensor): (tensor, value)
        for tensor, value in zip(inputs, values, strict=True)
    }

    def value_of(leaf):
        return known[id(leaf)][1] if isinstance(leaf, keras.KerasTensor) else leaf

    def visit(operation, *args, **kwargs):
        outputs = _StandIn(operation)(*args, **kwargs)
        args, kwargs = keras.tree.map_structure(value_of, (args, kwargs))
        results = call(operation, args, kwargs, outputs)
        for tensor, value in zip(keras.tree.flatten(outputs), results, strict=True):
            known[id(tensor)] = (tensor, value)
        return outputs

    # A plain `keras.Model`, since Keras would also copy the additions of a subclass or
    # `compile`.
    plain = keras.Model(list(model.inputs), list(model.outputs))
    clone = keras.models.clone_model(
        plain,
        input_tensors=inputs,
        clone_function=lambda operation: operation,
        call_function=visit,
    )
    outputs = [known[id(tensor)][1] for tensor in clone.outputs]
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
