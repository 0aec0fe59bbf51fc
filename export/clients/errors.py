"""Errors of the client."""


class ClientError(Exception):
    """A request that failed, said in one line."""


class Unavailable(ClientError):
    """A request that failed and may succeed if it is sent again.

    Args:
        message: What happened.
        wait: Seconds that the server asked to wait, or None.
    """

    def __init__(self, message, wait=None):
        super().__init__(message)
        self.wait = wait


def first_line(text):
    """Return what a server said, without the graph nodes in which it happened."""
    return text.strip().partition("\n")[0].partition("\t [[")[0].strip()[:500]
