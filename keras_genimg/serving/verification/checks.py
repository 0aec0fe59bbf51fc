"""The checks of a SavedModel: each returns what it found right, or raises `Fault`."""

from keras_genimg.serving.verification.c_process import CRASH, NOT_RUN
from keras_genimg.serving.verification.comparison import (
    TOLERANCES,
    different_bits,
    different_values,
)
from keras_genimg.serving.verification.graph_scan import PYTHON_OPS
from keras_genimg.serving.verification.probe_inputs import ROWS
from keras_genimg.serving.verification.python_runs import run_in_session, run_loaded
from keras_genimg.serving.verification.stored_weights import weights_fault

DEVICES = {"CPU", "DEFAULT"}  # What kernels of a server without accelerators are for.
TEXT_LENGTH = 300
MAX_FAULTS = 20
ROW_ATTEMPTS = 3


class Fault(Exception):
    """Why a SavedModel must not be served."""


def check_metadata(trial):
    """The metadata describe the signatures as they are."""
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
    _raise(faults)
    return f"a {trial.metadata.get('family')} of {len(described)} signatures"


def check_graph(trial):
    """The graph has nothing that a stock server refuses."""
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
    _raise(faults)
    return f"{len(graph.ops)} kinds of ops, none that a stock server refuses"


def check_signatures(trial):
    """Inputs and outputs can be sent, and begin with the batch."""
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
    _raise(faults)
    return "all inputs and outputs begin with the batch, in types that can be sent"


def check_weights(trial):
    """Weights are there, and stored once."""
    fault, message = weights_fault(trial.directory, trial.graph.read_bytes())
    _raise([message] if fault else [])
    return message


def check_c_api(trial):
    """Signatures run through the C API."""
    if not trial.served.loading.succeeded:
        raise Fault(f"it does not load: {trial.served.loading}")
    outcomes = trial.of("batch")
    _raise(f"{k[1]}: {out}" for k, out in outcomes.items() if not out.succeeded)
    skipped = [s.name for s in trial.graph.signatures.values() if s.needs_xla]
    rest = f"; not run, since they need XLA: {', '.join(skipped)}" if skipped else ""
    return f"{len(outcomes)} signatures run where TensorFlow is not imported{rest}"


def check_python(trial):
    """`tf.saved_model.load` gives the same."""
    return _check_same(trial, run_loaded(trial.directory, _harmless(trial)))


def check_session(trial):
    """The loader of TensorFlow 1 gives the same."""
    inputs = _harmless(trial)
    return _check_same(trial, run_in_session(trial.directory, trial.graph, inputs))


def check_rows(trial):
    """Rows are independent."""
    names = [key[1] for key in trial.of("changed")]
    faults = _row_faults(trial, names, trial.outcomes)
    # A pixel that is all but a tie may fall the other way in a batch of another size,
    # which changes the rest of its image. Rows that do depend on others do so always.
    for seed in range(1, ROW_ATTEMPTS):
        if faults:
            outcomes = trial.again(list(faults), seed)
            faults = _row_faults(trial, list(faults), outcomes)
    _raise(f"{name}: {fault}" for name, fault in faults.items())
    return (
        f"{len(names)} signatures give a row the same alone, in a batch of "
        f"up to {ROWS} and among other rows ({TOLERANCES})"
    )


def check_limits(trial):
    """Outputs stay below their limits, as the sampler's distance to the model must."""
    faults, checked = [], []
    for name, described in trial.metadata.get("signatures", {}).items():
        outcome = trial.outcomes.get(("batch", name))
        for key, output in described["outputs"].items():
            if "at_most" not in output or outcome is None:
                continue
            if not outcome.succeeded:
                faults.append(f"{name} does not run: {outcome}")
                continue
            largest, limit = float(outcome.outputs[key].max()), output["at_most"]
            checked.append(f"{key} of {name} is {largest:.2g}, at most {limit:.2g}")
            if not largest <= limit:
                faults.append(f"{key} of {name} is {largest:.2g}, above {limit:.2g}")
    _raise(faults)
    return "; ".join(checked) or "there are none"


def check_ranges(trial):
    """Inputs accept the limits of their ranges and refuse values outside of them."""
    outcomes = trial.of("value")
    _raise(
        f"{name}: {given} of {value} {fault}"
        for (_, name, given, value, accepted), outcome in outcomes.items()
        if (fault := _value_fault(outcome, accepted))
    )
    return f"{len(outcomes)} values at limits are accepted or refused as described"


def check_shapes(trial):
    """Wrong shapes are refused."""
    outcomes = trial.of("shape")
    _raise(
        f"{name}: {given} of shape {list(shape)} {_verdict(outcome)}"
        for (_, name, given, shape), outcome in outcomes.items()
        if outcome.code not in ("INVALID_ARGUMENT", NOT_RUN)
    )
    left_out = sum(outcome.code == NOT_RUN for outcome in outcomes.values())
    if left_out:
        raise Fault(f"{left_out} wrong shapes were not tried, see above")
    return f"{len(outcomes)} wrong shapes give INVALID_ARGUMENT, the process lives"


def check_records(trial):
    """Warm-up records run."""
    if trial.record_fault:
        raise Fault(trial.record_fault)
    if trial.records is None:
        return "there are no records"
    _raise(
        f"record {key[1]}, for {trial.requests[key].signature.name}: {outcome}"
        for key, outcome in trial.of("record").items()
        if not outcome.succeeded
    )
    return f"{len(trial.records)} records run"


CHECKS = {
    "graph": check_graph,
    "metadata": check_metadata,
    "signatures": check_signatures,
    "weights": check_weights,
    "C API": check_c_api,
    "Python": check_python,
    "TF1 loader": check_session,
    "rows": check_rows,
    "limits": check_limits,
    "ranges": check_ranges,
    "wrong shapes": check_shapes,
    "warm-up": check_records,
}


def _raise(faults):
    faults = [fault[:TEXT_LENGTH] for fault in faults]
    more = len(faults) - MAX_FAULTS
    if more > 0:
        faults = [*faults[:MAX_FAULTS], f"and {more} more"]
    if faults:
        raise Fault("\n      ".join(faults))


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


def _verdict(outcome):
    if outcome.succeeded:
        return "is accepted"
    return f"gives {outcome}"


def _value_fault(outcome, accepted):
    """Return how a batch with a value in its last row fails a requirement, or None."""
    if outcome.code == NOT_RUN:
        return None
    if not outcome.succeeded:
        refused = outcome.code == "INVALID_ARGUMENT"
        return None if refused and not accepted else _verdict(outcome)
    *others, last = outcome.outputs.get("ok", [True])
    if not all(others):
        return "refuses other rows"
    if last != accepted:
        return "is accepted" if last else "is refused"
    return None


def _harmless(trial):
    """Return inputs by signature, without those that end a process."""
    return {
        name: inputs
        for name, inputs in trial.inputs.items()
        if trial.outcomes["batch", name].code not in (CRASH, NOT_RUN)
    }


def _check_same(trial, results):
    faults = []
    for name, given in results.items():
        outcome = trial.outcomes["batch", name]
        if isinstance(given, Exception):
            text = str(given).removeprefix("Graph execution error:").strip()
            first = text.partition("\n")[0]
            faults.append(f"{name}: {type(given).__name__} {first}")
        elif outcome.succeeded:
            difference = different_bits(outcome.outputs, given)
            if difference:
                faults.append(f"{name}: {difference} than through the C API")
    _raise(faults)
    return f"{len(results)} signatures give the same bits as through the C API"


def _row_faults(trial, names, outcomes):
    found = {name: _row_fault(trial, name, outcomes) for name in names}
    return {name: fault for name, fault in found.items() if fault}


def _row_fault(trial, name, outcomes):
    batch, num_rows = outcomes["batch", name], trial.rows(name)
    if not batch.succeeded:
        return "the batch does not run"
    for key, array in batch.outputs.items():
        if array.shape[:1] != (num_rows,):
            return f"{key} has the shape {list(array.shape)} for {num_rows} rows"
    rows = {("row", name, i): (i, 0) for i in range(num_rows)}
    rows["changed", name] = (num_rows // 2, num_rows // 2)
    for key, (row, place) in rows.items():
        outcome = outcomes[key]
        how = "among other rows" if key[0] == "changed" else "alone"
        if not outcome.succeeded:
            return f"row {row} {how} gives {outcome}"
        expected = {k: array[row : row + 1] for k, array in batch.outputs.items()}
        got = {k: array[place : place + 1] for k, array in outcome.outputs.items()}
        if key[0] == "row":
            got = outcome.outputs
        difference = different_values(expected, got)
        if difference:
            return f"row {row} {how}: {difference}"
    return None
