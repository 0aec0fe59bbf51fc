"""Run a SavedModel through TensorFlow's C API, in a process without its Python.

`serve` starts this file as a script. The script reads a pickle of work from its input
and writes a pickle per result to its output, so that earlier results survive if a
request ends the process. Like a server, the process has the kernels of TensorFlow's
library and no Python ops.
"""

import contextlib
import ctypes
import dataclasses
import glob
import importlib.util
import io
import os
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

CRASH = "CRASH"
NOT_RUN = "NOT_RUN"

# Values of the enum `TF_DataType` that clients can send and receive.
TYPES = {1: np.float32, 3: np.int32, 4: np.uint8, 9: np.int64, 10: np.bool_}
STRING = 7
STRING_BYTES = 24  # sizeof(TF_TString)
ENUMS = {np.dtype(numpy_type): enum for enum, numpy_type in TYPES.items()}

CODES = (
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS "
    "PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE "
    "UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED"
).split()


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
class Request:
    """A request to a signature.

    Attributes:
        signature: `Signature`.
        inputs: Dict of arrays by name of input.
        kind: `"batch"`, `"part"` of the examples of a batch, `"record"` for warming up,
            `"value"` at the end of a range, or wrong `"shape"`.
        text: Name of the request in faults.
        status: Name of the status that it must have.
        rows: Numbers of its examples among all that are tried.
        outcome: Its `Outcome`, once it has one.
    """

    signature: Any
    inputs: dict
    kind: str = "batch"
    text: str = ""
    status: str = "OK"
    rows: Sequence[int] = ()
    outcome: Outcome | None = None

    @property
    def work(self):
        """Arrays by name of input tensor, and names of output tensors by output."""
        given = {self.signature.inputs[k].name: v for k, v in self.inputs.items()}
        return given, {k: tensor.name for k, tensor in self.signature.outputs.items()}


def serve(graph, requests, timeout):
    """Run requests in a process that does not import TensorFlow.

    Each gets its `outcome`.

    Args:
        graph: `SavedGraph`.
        requests: List of `Request`. None runs after one that ends the process.
        timeout: Seconds for all of them.

    Returns:
        The `Outcome` of loading the SavedModel.
    """
    work = graph.directory, graph.tags, [request.work for request in requests]
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONSAFEPATH": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    try:
        ended = subprocess.run(
            [sys.executable, __file__],
            input=pickle.dumps(work),
            capture_output=True,
            env=environment,
            timeout=timeout,
        )
        ending = _ending(ended)
    except subprocess.TimeoutExpired as error:
        ended, ending = error, "it took too long"
    loading, *outcomes = [*_outcomes(ended.stdout or b""), Outcome(CRASH, ending)]
    not_run = Outcome(NOT_RUN, "since an earlier request ended the process")
    outcomes += [not_run] * len(requests)  # These are more than enough.
    for request, outcome in zip(requests, outcomes, strict=False):
        request.outcome = outcome
    return loading


def _ending(ended):
    """Describe how a process ended."""
    code = ended.returncode
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    said = ended.stderr.decode(errors="replace").strip().splitlines()
    # A failed check of TensorFlow is followed by a stack trace.
    fatal = [line for line in said if "Check failed" in line] or said[-1:]
    reason = "".join(f": {line.rpartition('] ')[2].strip()}" for line in fatal[:1])
    return f"the process ended with {how}{reason}"


def _outcomes(pickles):
    opened = io.BytesIO(pickles)
    with contextlib.suppress(EOFError, pickle.UnpicklingError):
        while True:
            yield Outcome(*pickle.load(opened))


class Pointer(ctypes.c_void_p):
    """A pointer that ctypes does not turn into an integer."""


class Output(ctypes.Structure):
    """`TF_Output`."""

    _fields_ = [("operation", Pointer), ("index", ctypes.c_int)]


def load_library():
    """Load TensorFlow's library from the installed wheel."""
    spec = importlib.util.find_spec("tensorflow")
    folders = (spec and spec.submodule_search_locations) or []
    for folder in folders:
        for file in sorted(glob.glob(os.path.join(folder, "libtensorflow_cc.*"))):
            library = ctypes.CDLL(file)
            _declare(library)
            # A server disables XLA by default.
            if hasattr(library, "_ZN10tensorflow21DisableXlaCompilationEv"):
                library._ZN10tensorflow21DisableXlaCompilationEv()
            return library
    raise OSError(f"there is no libtensorflow_cc in {list(folders)}")


def _declare(library):
    """Declare functions that return pointers and sizes; ctypes assumes int."""
    pointers = (
        "NewStatus NewGraph NewSessionOptions AllocateTensor TensorData "
        "LoadSessionFromSavedModel GraphOperationByName StringGetDataPointer"
    )
    for name in pointers.split():
        getattr(library, f"TF_{name}").restype = Pointer
    for name in ("TF_StringGetSize", "TF_TensorByteSize"):
        getattr(library, name).restype = ctypes.c_size_t
    library.TF_Dim.restype = ctypes.c_int64
    library.TF_Message.restype = ctypes.c_char_p


class Failure(Exception):
    """An error status: its code and message."""


class Session:
    """Session of TensorFlow's C API.

    Args:
        library: Library returned by `load_library`.
    """

    def __init__(self, library):
        self.library = library
        self.graph = library.TF_NewGraph()
        self.session = None

    def load(self, directory, tags):
        """Load the graph with `tags` from a SavedModel."""
        load = self.library.TF_LoadSessionFromSavedModel
        options = self.library.TF_NewSessionOptions()
        path = os.fsencode(directory)
        tags = (ctypes.c_char_p * len(tags))(*map(str.encode, tags))
        self.session = self._checked(
            load, options, None, path, tags, len(tags), self.graph, None
        )

    def run(self, inputs, outputs):
        """Run the graph and return arrays by name of output.

        Args:
            inputs: Dict of arrays by name of tensor; strings are arrays of objects.
            outputs: Dict of names of tensors by name of output.
        """
        run = self.library.TF_SessionRun
        places = (Output * len(inputs))(*map(self._output, inputs))
        values = (Pointer * len(inputs))(*map(self._tensor, inputs.values()))
        fetched = (Output * len(outputs))(*map(self._output, outputs.values()))
        results = (Pointer * len(outputs))()
        given = places, values, len(inputs)
        wanted = fetched, results, len(outputs)
        try:
            self._checked(run, self.session, None, *given, *wanted, None, 0, None)
            return dict(zip(outputs, map(self._array, results), strict=True))
        finally:
            for tensor in filter(None, (*values, *results)):
                self.library.TF_DeleteTensor(tensor)

    def _checked(self, function, *arguments):
        status = self.library.TF_NewStatus()  # Threads may not share one.
        try:
            result = function(*arguments, status)
            code = self.library.TF_GetCode(status)
            if code:
                text = self.library.TF_Message(status).decode(errors="replace")
                raise Failure(CODES[code], text)
            return result
        finally:
            self.library.TF_DeleteStatus(status)

    def _output(self, name):
        operation, _, index = name.partition(":")
        found = self.library.TF_GraphOperationByName(self.graph, operation.encode())
        if not found:
            raise Failure("NOT_FOUND", f"the graph has no operation {operation!r}")
        return Output(found, int(index or 0))

    def _tensor(self, array):
        strings = array.dtype == object
        if not strings and array.dtype not in ENUMS:
            raise Failure("UNIMPLEMENTED", f"an input is {array.dtype}")
        dims = (ctypes.c_int64 * array.ndim)(*array.shape)
        size = array.size * STRING_BYTES if strings else array.nbytes
        enum = STRING if strings else ENUMS[array.dtype]
        tensor = self.library.TF_AllocateTensor(
            enum, dims, array.ndim, ctypes.c_size_t(size)
        )
        if strings:
            places = self._strings(tensor, array.size)
            for place, text in zip(places, array.flat, strict=True):
                self.library.TF_StringInit(place)
                self.library.TF_StringCopy(place, text, ctypes.c_size_t(len(text)))
        else:
            data = self.library.TF_TensorData(tensor)
            ctypes.memmove(data, np.ascontiguousarray(array).ctypes.data, size)
        return tensor

    def _array(self, tensor):
        enum = self.library.TF_TensorType(tensor)
        shape = [
            self.library.TF_Dim(tensor, i)
            for i in range(self.library.TF_NumDims(tensor))
        ]
        if enum in TYPES:
            size = self.library.TF_TensorByteSize(tensor)
            raw = ctypes.string_at(self.library.TF_TensorData(tensor), size)
            return np.frombuffer(raw, TYPES[enum]).reshape(shape)
        if enum != STRING:
            raise Failure("UNIMPLEMENTED", f"an output has the TF_DataType {enum}")
        array = np.empty(shape, object)
        array.flat[:] = [
            ctypes.string_at(
                self.library.TF_StringGetDataPointer(place),
                self.library.TF_StringGetSize(place),
            )
            for place in self._strings(tensor, array.size)
        ]
        return array

    def _strings(self, tensor, count):
        """Return pointers to the strings of a tensor."""
        data = self.library.TF_TensorData(tensor).value
        return [Pointer(data + i * STRING_BYTES) for i in range(count)]


def main():
    """Load the SavedModel and run every request."""
    # TensorFlow may print, too.
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    directory, tags, requests = pickle.load(sys.stdin.buffer)
    session = Session(load_library())
    if "tensorflow" in sys.modules:
        raise RuntimeError("TensorFlow was imported, so the run shows nothing.")
    calls = [(session.run, *request) for request in requests]
    for function, *arguments in [(session.load, directory, tags), *calls]:
        try:
            result = "OK", "", function(*arguments)
        except Failure as failure:
            result = *failure.args, None
        pickle.dump(result, results)
        results.flush()
        if session.session is None:
            break


if __name__ == "__main__":
    main()
