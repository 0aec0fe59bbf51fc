"""Subprocess that runs a SavedModel through TensorFlow's C API."""

import dataclasses
import os
import pathlib
import pickle
import re
import signal
import subprocess
import sys
import tempfile
from typing import Any

from keras_genimg.serving.verification import c_api

CRASH = "CRASH"
NOT_RUN = "NOT_RUN"


@dataclasses.dataclass(frozen=True)
class Request:
    """A request to a signature.

    Attributes:
        signature: `Signature`.
        inputs: Dict of arrays by name of input.
    """

    signature: Any
    inputs: dict

    @property
    def work(self):
        """Arrays by name of input tensor, and names of output tensors by output."""
        given = {self.signature.inputs[k].name: v for k, v in self.inputs.items()}
        return given, {k: tensor.name for k, tensor in self.signature.outputs.items()}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Outcome of a request.

    Attributes:
        code: Name of a status, `CRASH` if the request ended the process, or `NOT_RUN`.
        message: Text of the status.
        outputs: Dict of arrays by name of output; None after an error.
    """

    code: str
    message: str
    outputs: dict | None = None

    @property
    def succeeded(self):
        """Whether the request has outputs."""
        return self.code == "OK"

    def __str__(self):
        # Drop names of functions, which can be longer than the message proper.
        message = re.sub(r"\{\{function_node [^}]*\}\}", "", self.message).strip()
        first = message.partition("\n")[0]
        return f"{self.code} {first[:300]}".strip()


def serve(graph, requests, timeout):
    """Run requests in a process that does not import TensorFlow.

    Args:
        graph: `SavedGraph`.
        requests: Dict of `Request`. None runs after one that ends the process.
        timeout: Seconds for all of them.

    Returns:
        The `Outcome` of loading the SavedModel, and a dict of those of the requests.
    """
    work = {
        "directory": graph.directory,
        "tags": graph.tags,
        "requests": [request.work for request in requests.values()],
    }
    results, ending = _run(work, timeout)
    loading, *outcomes = [*(Outcome(*r) for r in results), Outcome(CRASH, ending)]
    not_run = Outcome(NOT_RUN, "since an earlier request ended the process")
    outcomes += [not_run] * len(requests)  # More than enough.
    return loading, dict(zip(requests, outcomes, strict=False))


def _run(work, timeout):
    """Run one process; return its results and a description of its end."""
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONSAFEPATH": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with tempfile.TemporaryDirectory() as folder:
        given, results = pathlib.Path(folder, "work"), pathlib.Path(folder, "results")
        given.write_bytes(pickle.dumps(work))
        results.touch()
        try:
            finished = subprocess.run(
                [sys.executable, c_api.__file__, str(given), str(results)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                timeout=timeout,
            )
            ending = _ending(finished)
        except subprocess.TimeoutExpired:
            ending = "it took too long"
        return list(_pickles(results)), ending


def _ending(finished):
    code = finished.returncode
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    said = finished.stderr.decode(errors="replace").strip().splitlines()
    # A failed check of TensorFlow is followed by a stack trace.
    fatal = [line for line in said if "Check failed" in line] or said[-1:]
    reason = "".join(f": {line.rpartition('] ')[2].strip()}" for line in fatal[:1])
    return f"the process ended with {how}{reason}"


def _pickles(file):
    with open(file, "rb") as opened:
        while True:
            try:
                yield pickle.load(opened)
            except (EOFError, pickle.UnpicklingError):
                return
