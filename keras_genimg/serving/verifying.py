"""Verification of a SavedModel before it is served."""

import os

from keras_genimg.serving.metadata import read_metadata
from keras_genimg.serving.verification.checks import CHECKS
from keras_genimg.serving.verification.fault import Fault
from keras_genimg.serving.verification.graph_scan import SavedGraph
from keras_genimg.serving.verification.report import Check, Report
from keras_genimg.serving.verification.trial import Trial
from keras_genimg.types import PathLike


def verify(directory: PathLike, verbose: bool = True, timeout: float = 600) -> Report:
    """Check that TensorFlow Serving can load a SavedModel and returns correct results.

    Nothing is changed. The signatures run through TensorFlow's C API in a subprocess
    that does not import TensorFlow, with XLA off as on a server. A request that ends
    that process fails the check. Signatures whose names end in `_xla` are read, not
    run.

    The checks:

    - the graph has nothing that a stock server refuses, and no two functions that merge
      requests in one queue, where they would answer each other's;
    - the metadata match the graph;
    - inputs and outputs have types that clients can send, and the batch as first axis;
    - weights are stored once;
    - every signature gives the same bits in C, in Python and in a TensorFlow 1 session;
    - the outputs for an example depend on its own inputs alone;
    - outputs are within the limits in the metadata, so that the incremental sampler
      computes the same as the model;
    - inputs accept the limits of the ranges in the metadata and refuse values outside;
    - nine wrong shapes per input are refused;
    - every warm-up record runs.

    TensorFlow chooses its kernels by the CPU. A server on a newer CPU may run those of
    oneDNN, some of which end the process where others return an error. Set the
    environment variable `TF_ENABLE_ONEDNN_OPTS=1` to try them here.

    Args:
        directory: Path of the SavedModel.
        verbose: Whether to print each check.
        timeout: Seconds that the runs through the C API may take together.

    Returns:
        A `Report`. The model can be served if `report.passed`.
    """
    directory = os.path.abspath(os.fspath(directory))
    report = Report(directory)

    def attempt(name, function, *arguments):
        """Add a check, which passes with the text returned by `function`."""
        try:
            check = Check(name, True, function(*arguments))
        except Fault as fault:
            check = Check(name, False, str(fault))
        except Exception as error:  # A check that cannot be made has failed.
            check = Check(name, False, f"{type(error).__name__}: {error}")
        report.checks.append(check)
        if verbose:
            print(check, flush=True)

    trials = []

    def read():
        graph, metadata = SavedGraph(directory), read_metadata(directory)
        trials.append(Trial(directory, graph, metadata, timeout))
        return f"signatures {', '.join(graph.signatures)}"

    attempt("files", read)
    for name, function in CHECKS.items() if trials else ():
        attempt(name, function, *trials)
    return report
