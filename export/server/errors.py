"""Error replies, with the HTTP statuses of TensorFlow Serving."""

import re

from ..status_codes import StatusCode

_ASSERTION = re.compile(r"assertion failed: \[(.*?)\] ?(.*)")


class ServingError(Exception):
    """A reply other than 200.

    Args:
        status: HTTP status code.
        message: What was received, what was expected and how to mend it.
        headers: HTTP headers of the reply, by name.
    """

    def __init__(self, status, message, headers=None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


def invalid(message):
    """Return the error for an invalid request."""
    return ServingError(400, message)


def timed_out(seconds):
    """Return the error for a request that timed out."""
    return ServingError(
        504,
        f"Timed out after {seconds:g} s. Send fewer examples, or start the server with "
        f"a longer --timeout.",
    )


def from_tensorflow(error):
    """Return the `ServingError` for an error of a model's graph.

    Its message is the graph's, without names of nodes.

    Args:
        error: A `tf.errors.OpError`.
    """
    text = error.message.removeprefix("Graph execution error:").strip()
    text = text.split("\n")[0].split(" [[")[0].strip()
    found = _ASSERTION.fullmatch(text)
    if found:
        text = f"{found[1]} {found[2]}".strip()
    status = StatusCode(error.error_code).http
    return ServingError(status, text or type(error).__name__)
