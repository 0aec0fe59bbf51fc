"""Verification of a SavedModel before it is served."""

import dataclasses
import os

from keras_genimg.serving.verification.checks import CHECKS, Trial
from keras_genimg.types import PathLike

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

    Nothing is changed. The signatures run through TensorFlow's C API in a subprocess
    that does not import TensorFlow, with XLA off as on a server. A request that ends
    that process fails the check. Signatures whose names end in `_xla` are read, not
    run.

    The checks:

    - the graph has nothing that a stock server refuses, and no two functions that merge
      requests in one queue, where they would answer each other's;
    - inputs and outputs have types that clients can send, and the batch as first axis;
    - every signature gives the same bits in C and in Python;
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
        timeout: Seconds that the requests may take together through the C API.
            Examples that depend on others are tried up to twice more, with the same
            limit each time.

    Returns:
        A `Report`. The model can be served if `report.passed`.
    """
    directory = os.path.abspath(os.fspath(directory))
    report = Report(directory)
    trials = []

    def read():
        trials.append(Trial(directory, timeout))
        return [], f"signatures {', '.join(trials[0].graph.signatures)}"

    def add(name, function, *arguments):
        try:
            faults, message = function(*arguments)
        except Exception as error:  # A check that cannot be made has failed.
            faults, message = [f"{type(error).__name__}: {error}"], ""
        told = [fault[:TEXT_LENGTH] for fault in faults[:MAX_FAULTS]]
        if len(faults) > MAX_FAULTS:
            told.append(f"and {len(faults) - MAX_FAULTS} more")
        check = Check(name, not faults, "\n      ".join(told) or message)
        report.checks.append(check)
        if verbose:
            print(check, flush=True)

    add("files", read)
    for name, function in CHECKS.items() if trials else ():
        add(name, function, *trials)
    return report
