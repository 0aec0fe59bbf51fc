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
import time
from typing import Any

from tensorflow.core.framework import kernel_def_pb2

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
        """Arrays by name of input tensor, and a list of names of output tensors."""
        given = {self.signature.inputs[k].name: v for k, v in self.inputs.items()}
        return given, [tensor.name for tensor in self.signature.outputs.values()]


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


@dataclasses.dataclass
class Served:
    """Results of the verification subprocess.

    Attributes:
        kernels: Dict by op of the set of devices with a kernel, or None for an unknown
            op.
        loading: `Outcome` of loading the SavedModel.
        outcomes: List of `Outcome`, one per request.
    """

    kernels: dict
    loading: Outcome
    outcomes: list


def serve(directory, tags, ops, requests, timeout):
    """Run requests in a process that does not import TensorFlow.

    If a request ends the process, a new process runs the rest, except for further
    requests to that signature.

    Args:
        directory: Path of the SavedModel.
        tags: Tags of its graph.
        ops: Names of ops to look up.
        requests: List of `Request`.
        timeout: Seconds for all processes together.

    Returns:
        A `Served`.
    """
    end = time.monotonic() + timeout
    work = {"directory": os.path.abspath(directory), "tags": tags, "ops": sorted(ops)}
    outcomes, crashed = {}, set()
    while True:
        due = [
            index
            for index, request in enumerate(requests)
            if index not in outcomes and request.signature.name not in crashed
        ]
        work["requests"] = [requests[index].work for index in due]
        results, ending = _run(work, end - time.monotonic())
        kernels, loading, *done = [*results, *[None] * (2 - len(results))]
        outcomes.update(zip(due, done, strict=False))
        if loading is None:
            loading = (CRASH, ending, None)
        if loading[0] != "OK" or len(done) == len(due):
            break
        # Outcomes are fewer than requests: the next one ended the process.
        outcomes[due[len(done)]] = (CRASH, ending, None)
        crashed.add(requests[due[len(done)]].signature.name)
        if time.monotonic() > end:
            break
    return Served(
        {op: _devices(given) for op, given in (kernels or {}).items()},
        Outcome(*loading),
        [
            _outcome(request, outcomes.get(index))
            for index, request in enumerate(requests)
        ],
    )


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
        try:
            finished = subprocess.run(
                [sys.executable, c_api.__file__, str(given), str(results)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                timeout=max(timeout, 0),
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
    if not file.exists():
        return
    with open(file, "rb") as opened:
        while True:
            try:
                yield pickle.load(opened)
            except (EOFError, pickle.UnpicklingError):
                return


def _devices(kernels):
    if kernels is None:
        return None
    parsed = kernel_def_pb2.KernelList.FromString(kernels)
    return {kernel.device_type for kernel in parsed.kernel}


def _outcome(request, result):
    if result is None:
        return Outcome(NOT_RUN, "since an earlier request ended the process")
    code, message, arrays = result
    if arrays is not None:
        arrays = dict(zip(request.signature.outputs, arrays, strict=True))
    return Outcome(code, message, arrays)
