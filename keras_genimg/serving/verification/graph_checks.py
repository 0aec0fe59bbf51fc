"""Checks of the graph, the metadata and the weights of a SavedModel.

Each takes a `Trial` and returns a message if it passes, or raises `Fault`.
"""

from keras_genimg.serving.verification.fault import raise_faults
from keras_genimg.serving.verification.graph_scan import PYTHON_OPS
from keras_genimg.serving.verification.stored_weights import weights_fault

DEVICES = {"CPU", "DEFAULT"}  # Devices of a server without accelerators.


def check_metadata(trial):
    """Check that the metadata match the signatures."""
    if not trial.metadata:
        return "there is none"
    described = trial.metadata["signatures"]
    signatures = dict(trial.graph.signatures)
    signatures.pop("serving_default", None)
    faults = []
    for name in sorted({*described, *signatures}):
        for kind in ("inputs", "outputs"):
            said = {
                key: (value["dtype"], tuple(value["shape"]))
                for key, value in described.get(name, {}).get(kind, {}).items()
            }
            tensors = getattr(signatures.get(name), kind, {})
            given = {key: (t.dtype.name, t.shape) for key, t in tensors.items()}
            if said != given:
                faults.append(f"{kind} of {name} are {given}, not {said} as described")
    raise_faults(faults)
    return f"a {trial.metadata.get('family')} of {len(described)} signatures"


def check_graph(trial):
    """Check that a stock server can run every op of the graph."""
    graph, kernels = trial.graph, trial.served.kernels
    faults = []
    for signature in graph.plain_signatures:
        parts = graph.xla_parts(signature)
        if parts:
            faults.append(f"{signature.name} needs XLA: {', '.join(parts)}")
    for op in sorted(graph.ops):
        users = graph.users(op)
        plain = [name for name in users if not graph.signatures[name].needs_xla]
        fault = _op_fault(op, kernels.get(op, DEVICES), plain)
        if fault:
            faults.append(f"the op {op} of {', '.join(users) or 'none'} {fault}")
    for queue, functions in graph.queues().items():
        if len(functions) > 1:
            names = ", ".join(sorted(sum(functions.values(), [])))
            faults.append(
                f"{names} merge requests in one queue, so they would answer each "
                f"other's; give each BatchFunction a shared_name other than {queue!r}"
            )
    raise_faults(faults)
    return f"{len(graph.ops)} kinds of ops, none that a stock server refuses"


def check_signatures(trial):
    """Check that clients can send all types, and that the batch is the first axis."""
    faults = []
    for signature in trial.graph.signatures.values():
        tensors = [
            *(("input", *item) for item in signature.inputs.items()),
            *(("output", *item) for item in signature.outputs.items()),
        ]
        for kind, key, tensor in tensors:
            what = f"{signature.name}: {kind} {key}"
            if not tensor.sendable:
                faults.append(f"{what} is {tensor.dtype.name}, which clients lack")
            if not tensor.batched:
                faults.append(f"{what} has no batch as its first axis: {tensor.shape}")
            if kind == "output" and tensor.is_string and not key.endswith("_bytes"):
                faults.append(f"{what} is binary, so its name must end in _bytes")
    raise_faults(faults)
    return "all inputs and outputs begin with the batch, in types that can be sent"


def check_weights(trial):
    """Check that weights are present and stored once."""
    fault, message = weights_fault(trial.directory, trial.graph.read_bytes())
    raise_faults([message] if fault else [])
    return message


def _op_fault(op, devices, plain_users):
    if op in PYTHON_OPS:
        return "needs Python"
    if op.startswith("Cudnn"):
        return "needs a GPU"
    if devices is None:
        return "is not one of TensorFlow"
    if plain_users and not op.startswith("Xla") and not devices & DEVICES:
        return "has no kernel for CPUs"
    return None
