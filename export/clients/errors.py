"""Errors of the client."""


class ClientError(Exception):
    """A failed request, described in one line."""


class Unavailable(ClientError):
    """A failed request that may succeed when sent again.

    Args:
        message: What happened.
        wait: Seconds that the server asked to wait, or None.
    """

    def __init__(self, message, wait=None):
        super().__init__(message)
        self.wait = wait


def first_line(text):
    """Return the first line of a server's message, without names of graph nodes."""
    return text.strip().partition("\n")[0].partition("\t [[")[0].strip()[:500]
