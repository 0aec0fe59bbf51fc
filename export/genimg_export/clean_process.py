"""Run a SavedModel in a process that imports nothing but TensorFlow.

`serve` starts this file as a script, which runs the graph in a plain session, as a
server does. The script reads a pickle of work from its input and writes a pickle per
result to its output, so that earlier results survive if a request ends the process.

An earlier version called the C API of TensorFlow's shared library by `ctypes`, in a
process without Python's TensorFlow. With TensorFlow 2.21, a session showed the same:
the bits of every output and the status of every request were equal, for exports of
models and for SavedModels with planted faults. Three differences are covered:

- Python's TensorFlow adds operations to those of the library, and refuses none of them:
  `PyFunc`, `PyFuncStateless` and `EagerPyFunc`, whose functions this process lacks,
  `AudioMicrofrontend`, and those of TensorFlow's own tests. `SavedGraph.refused_parts`
  finds the first four by name.
- XLA cannot be turned off, as it is on a server, by anything public. `refused_parts`
  finds what needs it: the names of all operations that only XLA has begin with `Xla`.
- Python refuses to feed a wrong shape to a placeholder. The script feeds others that
  have no shape, so that the graph itself has to refuse it.

A plugin that Python's TensorFlow loads when it is imported (the folder
`tensorflow-plugins`) is loaded here too, and a server may lack it.
"""

import contextlib
import dataclasses
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
    """Run requests in a process that imports nothing but TensorFlow.

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


def main():
    """Load the SavedModel and run every request."""
    # TensorFlow may print, too.
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # A script finds the modules beside it by bare names, which others may have as well.
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != folder]
    import tensorflow as tf

    directory, tags, requests = pickle.load(sys.stdin.buffer)
    arrays = {name: array for inputs, _ in requests for name, array in inputs.items()}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        # These replace the placeholders of the graph. They have no shape, since
        # `session.run` would refuse a wrong one before the graph does.
        feeds = {
            name: tf.compat.v1.placeholder(
                array.dtype, name=f"fed/{name.replace(':', '_')}"
            )
            for name, array in arrays.items()
        }

        def load():
            tf.compat.v1.saved_model.load(session, tags, directory, input_map=feeds)

        def run(inputs, outputs):
            given = {feeds[name]: array for name, array in inputs.items()}
            found = session.run(outputs, given)
            return {key: as_array(value) for key, value in found.items()}

        for function, *arguments in [(load,), *((run, *each) for each in requests)]:
            result = attempt(function, *arguments)
            pickle.dump(result, results)
            results.flush()
            if function is load and result[0] != "OK":
                break


def attempt(function, *arguments):
    """Call a function; return its code, message and result, as `Outcome` takes them."""
    import tensorflow as tf

    try:
        return "OK", "", function(*arguments)
    except tf.errors.OpError as error:
        # A session raises the graph's error again, with lines of Python in the text.
        original = error.__context__
        told = original if isinstance(original, tf.errors.OpError) else error
        return CODES[error.error_code], told.message, None
    # The Python code that loads and feeds a graph raises errors of any class.
    except Exception as error:
        return "UNKNOWN", f"{type(error).__name__}: {error}", None


def as_array(value):
    """Return a value of a session as an array; a scalar is a number or bytes."""
    return np.asarray(value, object if isinstance(value, bytes) else None)


if __name__ == "__main__":
    main()
