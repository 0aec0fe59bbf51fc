"""Checks of a SavedModel: requests to it, and what must come of them.

Each check takes a `Trial`, and returns a list of faults and a message for none.
"""

import functools

import numpy as np
import tensorflow as tf

from keras_genimg.serving.quiet import quiet
from keras_genimg.serving.verification import clean_process, comparison, probes
from keras_genimg.serving.verification.clean_process import Request
from keras_genimg.serving.verification.saved_graph import (
    SENDABLE,
    SavedGraph,
    is_batched,
)
from keras_genimg.serving.warmup import recorded_requests

NUM_EXAMPLES = 3
NUM_ATTEMPTS = 3
REFUSED = "INVALID_ARGUMENT"


class Trial:
    """Requests to all plain signatures and their outcomes in a clean process.

    Each request has a key:

    - `("batch", signature)`: a batch of random examples;
    - `("example", signature, i)`: example `i` of that batch alone;
    - `("changed", signature)`: the batch with all examples but the middle one changed;
    - `("record", text, status)`: a warm-up record;
    - `("value", text, status)`: a batch whose last example has one value at a limit or
      outside of it;
    - `("shape", text, status)`: an input of a wrong shape.

    The text names the request in faults, and the status is the one that it must have.

    Args:
        directory: Path of the SavedModel.
        timeout: Seconds that the requests may take.

    Attributes:
        graph: Its `SavedGraph`.
    """

    def __init__(self, directory, timeout):
        self.graph = graph = SavedGraph(directory)
        self.timeout = timeout
        tried = [s for s in graph.plain_signatures if s.sendable]
        self.requests = {}
        for signature in tried:
            self.requests.update(self._right(signature))
        self.record_fault = None
        try:
            for i, request in enumerate(recorded_requests(graph)):
                what = f"record {i}, for {request.signature.name},"
                self.requests["record", what, "OK"] = request
        except (ImportError, ValueError) as error:
            self.record_fault = str(error)
        for signature in tried:  # Last, since these may end the process.
            if signature.batched:
                self.requests.update(self._wrong(signature))
        self.loading, self.outcomes = clean_process.serve(graph, self.requests, timeout)

    def of(self, kind):
        """Return outcomes of one kind by key."""
        return {key: out for key, out in self.outcomes.items() if key[0] == kind}

    def again(self, names, seed):
        """Run requests with new random examples and return their outcomes by key.

        Args:
            names: Names of signatures.
            seed: Seed of the values, above 0.
        """
        requests = {}
        for name in names:
            requests.update(self._right(self.graph.signatures[name], seed))
        return clean_process.serve(self.graph, requests, self.timeout)[1]

    def _right(self, signature, seed=0):
        """Return requests that must be answered."""
        name, num_examples = signature.name, _num_examples(signature)
        inputs = probes.random_inputs(signature, num_examples, 2 * seed)
        requests = {("batch", name): inputs}
        if signature.batched:
            for i in range(num_examples):
                example = {key: value[i : i + 1] for key, value in inputs.items()}
                requests["example", name, i] = example
            changed = probes.random_inputs(signature, num_examples, 2 * seed + 1)
            for key, value in inputs.items():
                changed[key][num_examples // 2] = value[num_examples // 2]
            requests["changed", name] = changed
        return {key: Request(signature, given) for key, given in requests.items()}

    def _wrong(self, signature):
        """Return requests with values at limits and with wrong shapes."""
        described = signature.metadata.get("inputs", {})
        few = min(2, _num_examples(signature))
        requests = {}
        right = probes.random_inputs(signature, few)
        for name, spec in signature.inputs.items():
            what = f"{signature.name}: {name} of"
            limits = probes.values_at_limits(spec.dtype, described.get(name, {}))
            for value, accepted in limits.items():
                given = {**right, name: right[name].copy()}
                given[name].flat[-1] = value
                status = "OK" if accepted else REFUSED
                requests["value", f"{what} {value}", status] = Request(signature, given)
            for shape in probes.wrong_shapes(signature, name, few):
                given = {**right, name: np.resize(right[name], shape)}
                key = "shape", f"{what} shape {list(shape)}", REFUSED
                requests[key] = Request(signature, given)
        return requests


def _num_examples(signature):
    """Return the size of the batch of a signature."""
    return min(NUM_EXAMPLES, signature.metadata.get("max_examples", NUM_EXAMPLES))


def check_graph(trial):
    """Check that a stock server has all that the graph needs."""
    faults = [
        f"{signature.name} needs more than a server has: {', '.join(parts)}"
        for signature in trial.graph.plain_signatures
        if (parts := trial.graph.refused_parts(signature))
    ]
    for queue, functions in trial.graph.queues().items():
        if len(functions) > 1:
            names = ", ".join(sorted(sum(functions.values(), [])))
            faults.append(
                f"{names} merge requests in one queue, so they would answer each "
                f"other's; give each BatchFunction a shared_name other than {queue!r}"
            )
    return faults, "no part that a stock server refuses"


def check_signatures(trial):
    """Check that clients can send all types, and that the batch is the first axis."""
    faults = []
    for signature in trial.graph.signatures.values():
        for kind in ("input", "output"):
            for key, spec in getattr(signature, f"{kind}s").items():
                what = f"{signature.name}: {kind} {key}"
                if spec.dtype not in SENDABLE:
                    faults.append(f"{what} is {spec.dtype.name}, which clients lack")
                if not is_batched(spec):
                    faults.append(
                        f"{what} has no batch as its first axis: {spec.shape}"
                    )
                is_text = kind == "output" and spec.dtype == tf.string
                if is_text and not key.endswith("_bytes"):
                    faults.append(f"{what} is binary, so its name must end in _bytes")
    return faults, "all begin with the batch, in types that can be sent"


def check_c_api(trial):
    """Check that signatures run through the C API."""
    if not trial.loading.succeeded:
        return [f"it does not load: {trial.loading}"], ""
    outcomes = trial.of("batch")
    faults = [f"{k[1]}: {out}" for k, out in outcomes.items() if not out.succeeded]
    skipped = [s.name for s in trial.graph.signatures.values() if s.needs_xla]
    rest = f"; not run because of XLA: {', '.join(skipped)}" if skipped else ""
    return faults, f"{len(outcomes)} signatures run without TensorFlow's Python{rest}"


def check_python(trial):
    """Check that `tf.saved_model.load` gives the same bits as the C API."""
    with tf.device("CPU"):
        with quiet("absl"):  # It warns about gradients.
            loaded = tf.saved_model.load(trial.graph.directory)
        faults = []
        for (_, name), outcome in trial.of("batch").items():
            if not outcome.succeeded:  # Which the check before has told.
                continue
            inputs = trial.requests["batch", name].inputs
            given = {key: tf.constant(value) for key, value in inputs.items()}
            try:
                outputs = loaded.signatures[name](**given)
            except tf.errors.OpError as error:
                text = str(error).removeprefix("Graph execution error:").strip()
                first = text.partition("\n")[0]
                faults.append(f"{name}: {type(error).__name__} {first}")
                continue
            found = {key: tensor.numpy() for key, tensor in outputs.items()}
            same = comparison.same_bits
            if fault := comparison.difference(outcome.outputs, found, same):
                faults.append(f"{name}: {fault} than through the C API")
    return faults, "signatures give the same bits as through the C API"


def check_examples(trial):
    """Check that the outputs for an example depend on its own inputs alone."""
    faults = dict.fromkeys(key[1] for key in trial.of("changed"))
    count = len(faults)
    # A pixel close to a tie can fall the other way in a batch of another size, which
    # changes the rest of its image. Real dependence on other examples fails every
    # attempt.
    for seed in range(NUM_ATTEMPTS):
        outcomes = trial.again(faults, seed) if seed else trial.outcomes
        found = {name: _dependence(trial, name, outcomes) for name in faults}
        faults = {name: fault for name, fault in found.items() if fault}
        if not faults:
            break
    return [f"{name}: {fault}" for name, fault in faults.items()], (
        f"{count} signatures return the same for an example alone, in a batch of "
        f"up to {NUM_EXAMPLES} and among other examples ({comparison.TOLERANCES})"
    )


def _dependence(trial, name, outcomes):
    """Describe how an example of a signature depends on others, or return None."""
    batch = outcomes["batch", name]
    num_examples = _num_examples(trial.graph.signatures[name])
    if not batch.succeeded:
        return "the batch does not run"
    for key, array in batch.outputs.items():
        if array.shape[:1] != (num_examples,):
            shape = list(array.shape)
            return f"{key} has the shape {shape} for {num_examples} examples"
    middle = slice(num_examples // 2, num_examples // 2 + 1)
    cases = [
        (f"example {i} alone", ("example", name, i), slice(i, i + 1), slice(None))
        for i in range(num_examples)
    ]
    cases.append(("an example among others", ("changed", name), middle, middle))
    for what, key, place, part in cases:
        if not outcomes[key].succeeded:
            return f"{what} gives {outcomes[key]}"
        expected = {k: array[place] for k, array in batch.outputs.items()}
        got = {k: array[part] for k, array in outcomes[key].outputs.items()}
        if fault := comparison.difference(expected, got, comparison.close):
            return f"{what}: {fault}"
    return None


def check_limits(trial):
    """Check outputs that have a limit, such as the sampler's distance to the model."""
    faults, checked = [], []
    for (_, name), outcome in trial.of("batch").items():
        outputs = trial.graph.signatures[name].metadata.get("outputs", {})
        for key, output in outputs.items():
            if "at_most" not in output or not outcome.succeeded:
                continue
            largest, limit = float(outcome.outputs[key].max()), output["at_most"]
            checked.append(f"{key} of {name} is {largest:.2g}, at most {limit:.2g}")
            if not largest <= limit:
                faults.append(f"{key} of {name} is {largest:.2g}, above {limit:.2g}")
    return faults, "; ".join(checked) or "there are none"


def check_statuses(kind, message, trial):
    """Check that requests of a kind have the statuses that their keys say."""
    outcomes = trial.of(kind)
    faults = [
        f"{what} {'is accepted' if outcome.succeeded else f'gives {outcome}'}"
        for (_, what, status), outcome in outcomes.items()
        if outcome.code not in (status, clean_process.NOT_RUN)
    ]
    return faults, f"{len(outcomes)} {message}"


def check_records(trial):
    """Check that warm-up records can be read and run."""
    if trial.record_fault:
        return [trial.record_fault], ""
    return check_statuses("record", "records run", trial)


CHECKS = {
    "graph": check_graph,
    "signatures": check_signatures,
    "C API": check_c_api,
    "Python": check_python,
    "examples": check_examples,
    "limits": check_limits,
    "ranges": functools.partial(
        check_statuses, "value", "values are accepted or refused as described"
    ),
    "wrong shapes": functools.partial(
        check_statuses, "shape", f"wrong shapes give {REFUSED}"
    ),
    "warm-up": check_records,
}
