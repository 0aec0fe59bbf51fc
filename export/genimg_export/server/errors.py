"""Error replies, with the HTTP statuses of TensorFlow Serving."""

import re

_ASSERTION = re.compile(r"assertion failed: \[(.*?)\] ?(.*)")
# By TensorFlow's status code; others are 500.
_HTTP = {1: 499, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409}
_HTTP |= {11: 400, 12: 501, 14: 503, 16: 401}


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


def from_tensorflow(error):
    """Return the `ServingError` for a `tf.errors.OpError` of a model's graph.

    Its message is the graph's, without names of nodes.
    """
    text = error.message.removeprefix("Graph execution error:").strip()
    text = text.split("\n")[0].split(" [[")[0].strip()
    found = _ASSERTION.fullmatch(text)
    if found:
        text = f"{found[1]} {found[2]}".strip()
    status = _HTTP.get(error.error_code, 500)
    return ServingError(status, text or type(error).__name__)
