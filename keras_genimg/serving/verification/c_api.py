"""Run a SavedModel through TensorFlow's C API, without importing TensorFlow.

This script is started by `clean_process` with the names of two files. It reads a pickle
of work from the first and appends a pickle per result to the second, so that earlier
results survive if a request ends the process. Like a server, the process has the
kernels of TensorFlow's library and no Python ops.
"""

import ctypes
import glob
import importlib.util
import os
import pickle
import sys

import numpy as np

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


class Output(ctypes.Structure):
    """`TF_Output`."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def load_library():
    """Load TensorFlow's library from the installed wheel."""
    spec = importlib.util.find_spec("tensorflow")
    folders = (spec and spec.submodule_search_locations) or []
    for folder in folders:
        for file in sorted(glob.glob(os.path.join(folder, "libtensorflow_cc.*"))):
            library = ctypes.CDLL(file)
            _declare(library)
            # The default of a server.
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
        getattr(library, f"TF_{name}").restype = ctypes.c_void_p
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
        self.graph = ctypes.c_void_p(library.TF_NewGraph())
        self.session = None

    def load(self, directory, tags):
        """Load the graph with `tags` from a SavedModel."""
        load = self.library.TF_LoadSessionFromSavedModel
        options = ctypes.c_void_p(self.library.TF_NewSessionOptions())
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
        values = (ctypes.c_void_p * len(inputs))(*map(self._tensor, inputs.values()))
        fetched = (Output * len(outputs))(*map(self._output, outputs.values()))
        results = (ctypes.c_void_p * len(outputs))()
        given = places, values, len(inputs)
        wanted = fetched, results, len(outputs)
        try:
            self._checked(run, self.session, None, *given, *wanted, None, 0, None)
            arrays = [self._array(ctypes.c_void_p(result)) for result in results]
            return dict(zip(outputs, arrays, strict=True))
        finally:
            for tensor in (*values, *filter(None, results)):
                self.library.TF_DeleteTensor(ctypes.c_void_p(tensor))

    def _checked(self, function, *arguments):
        status = ctypes.c_void_p(self.library.TF_NewStatus())  # Threads share none.
        try:
            result = function(*arguments, status)
            code = self.library.TF_GetCode(status)
            if code:
                text = self.library.TF_Message(status).decode(errors="replace")
                raise Failure(CODES[code], text)
        finally:
            self.library.TF_DeleteStatus(status)
        return ctypes.c_void_p(result)

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
        data = self.library.TF_TensorData(ctypes.c_void_p(tensor))
        if strings:
            for i, text in enumerate(array.ravel()):
                place = ctypes.c_void_p(data + i * STRING_BYTES)
                self.library.TF_StringInit(place)
                self.library.TF_StringCopy(place, text, ctypes.c_size_t(len(text)))
        elif size:
            ctypes.memmove(data, np.ascontiguousarray(array).ctypes.data, size)
        return tensor

    def _array(self, tensor):
        enum = self.library.TF_TensorType(tensor)
        shape = [
            self.library.TF_Dim(tensor, i)
            for i in range(self.library.TF_NumDims(tensor))
        ]
        data = self.library.TF_TensorData(tensor)
        if enum in TYPES:
            size = self.library.TF_TensorByteSize(tensor)
            raw = ctypes.string_at(data, size) if size else b""
            return np.frombuffer(raw, TYPES[enum]).reshape(shape)
        if enum != STRING:
            raise Failure("UNIMPLEMENTED", f"an output has the TF_DataType {enum}")
        array = np.empty(shape, object)
        for i in range(array.size):
            place = ctypes.c_void_p(data + i * STRING_BYTES)
            array.flat[i] = ctypes.string_at(
                self.library.TF_StringGetDataPointer(place),
                self.library.TF_StringGetSize(place),
            )
        return array


def main(work_file, results_file):
    """Load the SavedModel and run every request."""
    with open(work_file, "rb") as opened:
        work = pickle.load(opened)
    with open(results_file, "ab") as results:

        def attempt(function, *arguments):
            try:
                result = "OK", "", function(*arguments)
            except Failure as failure:
                result = *failure.args, None
            pickle.dump(result, results)
            results.flush()
            return result[0] == "OK"

        session = Session(load_library())
        if "tensorflow" in sys.modules:
            raise RuntimeError("TensorFlow was imported, so the run proves nothing.")
        if attempt(session.load, work["directory"], work["tags"]):
            for request in work["requests"]:
                attempt(session.run, *request)


if __name__ == "__main__":
    main(*sys.argv[1:])
