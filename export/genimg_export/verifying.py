"""Verification of a SavedModel before it is served."""

import dataclasses
import functools
import os

import tensorflow as tf

from . import probes
from .clean_process import NOT_RUN, serve
from .comparison import TOLERANCES, close, difference, same_bits
from .files import PathLike
from .metadata import content_hash
from .quiet_start import quiet
from .saved_graph import SENDABLE, SavedGraph, is_batched
from .warmup import recorded_requests

NUM_ATTEMPTS = 3
TEXT_LENGTH = 300
MAX_FAULTS = 20


@dataclasses.dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        name: Name of the check.
        passed: Whether it passed.
        message: Summary of the check, or its faults.
    """

    name: str
    passed: bool
    message: str

    def __str__(self) -> str:
        verdict = "pass" if self.passed else "FAIL"
        return f"{verdict}  {self.name}: {self.message}"


@dataclasses.dataclass
class Report:
    """Results of all checks of a SavedModel.

    Attributes:
        directory: Path of the SavedModel.
        checks: List of `Check`.
    """

    directory: str
    checks: list[Check] = dataclasses.field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def __str__(self) -> str:
        verdict = "can be served" if self.passed else "must not be served"
        return "\n".join([*map(str, self.checks), f"{self.directory} {verdict}"])


class VerificationError(ValueError):
    """Raised if a SavedModel fails verification.

    Args:
        report: `Report` of the verification.
    """

    def __init__(self, report: Report):
        super().__init__(f"Verification failed:\n{report}")
        self.report = report


def verify(directory: PathLike, verbose: bool = True, timeout: float = 600) -> Report:
    """Check that TensorFlow Serving can load a SavedModel and returns correct results.

    Nothing is changed. The signatures run in a subprocess that imports nothing but
    TensorFlow, see `genimg_export.clean_process`. A request that ends that process
    fails the check. Signatures whose names end in `_xla` are read, not run.

    The checks, which end after the first or the fourth if there is nothing to run:

    - the files can be read;
    - graph, weights and metadata are those of the export, by the SHA-256 in the
      metadata; without one, as in exports of earlier versions, the check passes and
      says so;
    - the graph has nothing that a stock server refuses, and no two functions that merge
      requests in one queue, where they would answer each other's;
    - inputs and outputs have types that clients can send, and the batch as first axis;
    - the SavedModel loads in a session of the subprocess, and every signature that runs
      gives the same bits there and by `tf.saved_model.load`;
    - the outputs for an example depend on its own inputs alone;
    - outputs are within the limits in the metadata, so that the incremental sampler
      computes the same as the model;
    - inputs accept the limits of the ranges in the metadata and refuse values outside;
    - wrong shapes of each input are refused;
    - every warm-up record runs.

    TensorFlow chooses its kernels by the CPU. A server on a newer CPU may run those of
    oneDNN, some of which end the process where others return an error. Set the
    environment variable `TF_ENABLE_ONEDNN_OPTS=1` to try them here.

    Args:
        directory: Path of the SavedModel.
        verbose: Whether to print each check.
        timeout: Seconds that the requests may take together in the subprocess.
            Examples that depend on others are tried up to twice more, with the same
            limit each time.

    Returns:
        A `Report`. The model can be served if `report.passed`.
    """
    report = Report(os.path.abspath(os.fspath(directory)))
    trial = None
    for name, function in CHECKS.items():
        try:
            trial = trial or Trial(report.directory, timeout)
            faults, message = function(trial)
        except Exception as error:  # A check that cannot be made has failed.
            faults, message = [f"{type(error).__name__}: {error}"], ""
        told = [fault[:TEXT_LENGTH] for fault in faults[:MAX_FAULTS]]
        if len(faults) > MAX_FAULTS:
            told.append(f"and {len(faults) - MAX_FAULTS} more")
        check = Check(name, not faults, "\n      ".join(told) or message)
        report.checks.append(check)
        if verbose:
            print(check, flush=True)
        if trial is None or (name == "session" and not trial.loading.succeeded):
            break  # There is nothing that the others could check.
    return report


class Trial:
    """Requests to all plain signatures and their outcomes in a clean process.

    Args:
        directory: Path of the SavedModel.
        timeout: Seconds that the requests may take.

    Attributes:
        graph: Its `SavedGraph`.
        right: For each signature, the list of its `right_requests`.
        record_fault: Why warm-up records cannot be read, or None.
        loading: `Outcome` of loading the SavedModel.
    """

    def __init__(self, directory, timeout):
        self.graph = SavedGraph(directory)
        self.timeout = timeout
        tried = [s for s in self.graph.plain_signatures if s.can_be_called]
        self.right = [probes.right_requests(signature) for signature in tried]
        self._requests, self.record_fault = sum(self.right, []), None
        try:
            self._requests += recorded_requests(self.graph)
        except (ImportError, ValueError) as error:
            self.record_fault = str(error)
        for signature in tried:  # Last, since these may end the process.
            self._requests += probes.wrong_requests(signature)
        self.loading = serve(self.graph, self._requests, timeout)

    def of(self, kind):
        """Return the requests of one kind."""
        return [request for request in self._requests if request.kind == kind]


# Each check takes a `Trial`, and returns a list of faults and a message for none.


def check_files(trial):
    """Check that the SavedModel was read, as it was to make the trial."""
    skipped = [s.name for s in trial.graph.signatures.values() if s.needs_xla]
    rest = f"; not run because of XLA: {', '.join(skipped)}" if skipped else ""
    return [], f"signatures {', '.join(trial.graph.signatures)}{rest}"


def check_content(trial):
    """Check that graph, weights and metadata are those of the export."""
    graph = trial.graph
    found = content_hash(graph.directory, graph.metadata)
    expected = graph.metadata.get("sha256")
    if expected is None:
        return [], f"SHA-256 {found}, not compared: metadata.json has no sha256"
    if found != expected:
        fault = (
            f"SHA-256 {found}, but metadata.json expects {expected}: a file or an "
            "entry of the metadata was changed, added or lost. Copy the directory "
            "again, or export the model again"
        )
        return [fault], ""
    return [], f"SHA-256 {found}, as exported"


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


def check_session(trial):
    """Check that the SavedModel loads and runs in a clean process."""
    if not trial.loading.succeeded:
        return [f"it does not load: {trial.loading}"], ""
    return check_statuses(
        "batch", "signatures run in a process without this library", trial
    )


def check_python(trial):
    """Check that `tf.saved_model.load` gives the same bits as the session."""
    faults = []
    with tf.device("CPU"):
        with quiet("absl"):  # Loading warns about gradients.
            loaded = tf.saved_model.load(trial.graph.directory)
        for batch in trial.of("batch"):
            if not batch.outcome.succeeded:  # The check before has said so.
                continue
            name = batch.signature.name
            given = {key: tf.constant(value) for key, value in batch.inputs.items()}
            try:
                outputs = loaded.signatures[name](**given)
            except tf.errors.OpError as error:
                text = str(error).removeprefix("Graph execution error:").strip()
                first = text.partition("\n")[0]
                faults.append(f"{name}: {type(error).__name__} {first}")
                continue
            found = {key: tensor.numpy() for key, tensor in outputs.items()}
            if fault := difference(batch.outcome.outputs, found, same_bits):
                faults.append(f"{name}: {fault} than in the session")
    return faults, "signatures give the same bits as in the session"


def check_examples(trial):
    """Check that the outputs for an example depend on its own inputs alone."""
    # The check of the session has told of the others.
    tried = [each for each in trial.right if each[0].outcome.succeeded]
    count = len(tried)
    # A pixel close to a tie can fall the other way in a batch of another size, which
    # changes the rest of its image. Real dependence on other examples fails every
    # attempt.
    for seed in range(NUM_ATTEMPTS):
        if seed:
            signatures = [batch.signature for batch, *_ in tried]
            tried = [probes.right_requests(each, seed) for each in signatures]
            serve(trial.graph, sum(tried, []), trial.timeout)
        tried = [requests for requests in tried if _dependence(requests)]
        if not tried:
            break
    return [f"{each[0].signature.name}: {_dependence(each)}" for each in tried], (
        f"{count} signatures return the same for an example alone, in a batch of "
        f"up to {probes.NUM_EXAMPLES} and among other examples ({TOLERANCES})"
    )


def _dependence(requests):
    """Describe how an example of `right_requests` depends on others, or return None."""
    batch = requests[0]
    for request in requests:
        if not request.outcome.succeeded:
            return f"{request.text} gives {request.outcome}"
        count = len(request.rows)
        for key, array in request.outcome.outputs.items():
            if array.shape[:1] != (count,):
                return f"{key} has the shape {list(array.shape)} for {count} examples"
        shared = [row for row in request.rows if row in batch.rows]
        places = [request.rows.index(row) for row in shared]
        expected = {key: array[shared] for key, array in batch.outcome.outputs.items()}
        got = {key: array[places] for key, array in request.outcome.outputs.items()}
        if fault := difference(expected, got, close):
            return f"{request.text}: {fault}"
    return None


def check_limits(trial):
    """Check outputs that have a limit, such as the sampler's distance to the model."""
    faults, checked = [], []
    for batch in trial.of("batch"):
        name, outcome = batch.signature.name, batch.outcome
        for key, output in batch.signature.metadata.get("outputs", {}).items():
            if "at_most" not in output or not outcome.succeeded:
                continue
            largest, limit = float(outcome.outputs[key].max()), output["at_most"]
            checked.append(f"{key} of {name} is {largest:.2g}, at most {limit:.2g}")
            if not largest <= limit:
                faults.append(f"{key} of {name} is {largest:.2g}, above {limit:.2g}")
    return faults, "; ".join(checked) or "there are none"


def check_statuses(kind, message, trial):
    """Check that requests of a kind have the statuses that they must have."""
    requests = trial.of(kind)
    faults = [
        f"{r.text} {'is accepted' if r.outcome.succeeded else f'gives {r.outcome}'}"
        for r in requests
        if r.outcome.code not in (r.status, NOT_RUN)
    ]
    if not_run := [r for r in requests if r.outcome.code == NOT_RUN]:
        faults.append(f"{len(not_run)} were not run, since one ended the process")
    return faults, f"{len(requests)} {message}"


def check_records(trial):
    """Check that warm-up records can be read and run."""
    if trial.record_fault:
        return [trial.record_fault], ""
    return check_statuses("record", "records run", trial)


CHECKS = {
    "files": check_files,
    "content": check_content,
    "graph": check_graph,
    "signatures": check_signatures,
    "session": check_session,
    "Python": check_python,
    "examples": check_examples,
    "limits": check_limits,
    "ranges": functools.partial(
        check_statuses, "value", "values are accepted or refused as described"
    ),
    "wrong shapes": functools.partial(
        check_statuses, "shape", f"wrong shapes give {probes.REFUSED}"
    ),
    "warm-up": check_records,
}
