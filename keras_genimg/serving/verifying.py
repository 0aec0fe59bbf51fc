"""Proof that a SavedModel can be served."""

import os

from keras_genimg.saved_model.metadata import read_metadata
from keras_genimg.serving.verification.checks import CHECKS, Fault
from keras_genimg.serving.verification.graph_scan import SavedGraph
from keras_genimg.serving.verification.report import Check, Report
from keras_genimg.serving.verification.trial import Trial


def verify(directory, verbose=True, timeout=600):
    """Try whether TensorFlow Serving can serve a SavedModel, and serve it rightly.

    Nothing is changed. The signatures run through TensorFlow's C API in a process that
    imports no TensorFlow, with XLA off as on a server; a request that ends that process
    is a finding. Signatures whose names end in `_xla` are read, not run.

    The checks: the graph has nothing that a stock server refuses; inputs and outputs
    have types that can be sent, and the batch first; metadata and graph agree; weights
    are stored once; every signature gives the same bits in C, in Python and in a
    session of TensorFlow 1; row `i` of the outputs depends on row `i` of the inputs
    alone; outputs stay below the limits in the metadata, so that the incremental
    sampler computes what the model computes; nine wrong shapes for each input are
    refused; every warm-up record runs.

    Args:
        directory: Path of the SavedModel.
        verbose: Whether to print each check.
        timeout: Seconds that the runs through the C API may take together.

    Returns:
        A `Report`; `report.passed` says whether the model can be served.
    """
    directory = os.path.abspath(os.fspath(directory))
    report = Report(directory)

    def attempt(name, function, *arguments):
        """Add a check, which passes with the text that `function` returns."""
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
