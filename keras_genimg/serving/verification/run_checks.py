"""Checks of the outcomes of requests to a SavedModel.

Each takes a `Trial` and returns a message if it passes, or raises `Fault`.
"""

from keras_genimg.serving.verification.c_process import CRASH, NOT_RUN
from keras_genimg.serving.verification.comparison import different_bits
from keras_genimg.serving.verification.fault import Fault, raise_faults
from keras_genimg.serving.verification.python_runs import run_in_session, run_loaded


def check_c_api(trial):
    """Check that signatures run through the C API."""
    if not trial.served.loading.succeeded:
        raise Fault(f"it does not load: {trial.served.loading}")
    outcomes = trial.of("batch")
    raise_faults(f"{k[1]}: {out}" for k, out in outcomes.items() if not out.succeeded)
    skipped = [s.name for s in trial.graph.signatures.values() if s.needs_xla]
    rest = f"; not run because of XLA: {', '.join(skipped)}" if skipped else ""
    return f"{len(outcomes)} signatures run without importing TensorFlow{rest}"


def check_python(trial):
    """Check that `tf.saved_model.load` gives the same bits as the C API."""
    return _check_same(trial, run_loaded(trial.directory, _harmless(trial)))


def check_session(trial):
    """Check that the loader of TensorFlow 1 gives the same bits as the C API."""
    inputs = _harmless(trial)
    return _check_same(trial, run_in_session(trial.directory, trial.graph, inputs))


def check_limits(trial):
    """Check outputs that have a limit, such as the sampler's distance to the model."""
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
    raise_faults(faults)
    return "; ".join(checked) or "there are none"


def check_ranges(trial):
    """Check that inputs accept their limits and refuse values outside."""
    outcomes = trial.of("value")
    if not outcomes:
        return "the metadata state no ranges"
    raise_faults(
        f"{name}: {given} of {value} {fault}"
        for (_, name, given, value, accepted), outcome in outcomes.items()
        if (fault := _value_fault(outcome, accepted))
    )
    return f"{len(outcomes)} values at limits are accepted or refused as described"


def check_shapes(trial):
    """Check that wrong shapes are refused."""
    outcomes = trial.of("shape")
    raise_faults(
        f"{name}: {given} of shape {list(shape)} {_verdict(outcome)}"
        for (_, name, given, shape), outcome in outcomes.items()
        if outcome.code not in ("INVALID_ARGUMENT", NOT_RUN)
    )
    left_out = sum(outcome.code == NOT_RUN for outcome in outcomes.values())
    if left_out:
        raise Fault(f"{left_out} wrong shapes were not tried, see above")
    return f"{len(outcomes)} wrong shapes give INVALID_ARGUMENT"


def check_records(trial):
    """Check that warm-up records run."""
    if trial.record_fault:
        raise Fault(trial.record_fault)
    if trial.records is None:
        return "there are no records"
    raise_faults(
        f"record {key[1]}, for {trial.requests[key].signature.name}: {outcome}"
        for key, outcome in trial.of("record").items()
        if not outcome.succeeded
    )
    return f"{len(trial.records)} records run"


def _verdict(outcome):
    if outcome.succeeded:
        return "is accepted"
    return f"gives {outcome}"


def _value_fault(outcome, accepted):
    """Return how a value in the last example fails a requirement, or None."""
    if outcome.code == NOT_RUN:
        return None
    wanted = "OK" if accepted else "INVALID_ARGUMENT"
    return None if outcome.code == wanted else _verdict(outcome)


def _harmless(trial):
    """Return inputs by signature, without signatures that end the process."""
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
    raise_faults(faults)
    return f"{len(results)} signatures give the same bits as through the C API"
