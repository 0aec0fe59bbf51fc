"""Limits on the size of requests and on their number."""

import contextlib
import dataclasses

import anyio
import numpy as np

from .errors import ServingError, invalid

_DRAIN_SECONDS = 10
_STEPS = np.zeros(256, np.int8)  # How a byte changes the depth of nesting.
_STEPS[[ord("["), ord("{")]] = 1
_STEPS[[ord("]"), ord("}")]] = -1


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Attributes:
        max_body_bytes: Most bytes of a request's body.
        max_depth: Deepest nesting of lists and objects in a body.
        max_concurrent: Requests that are computed at the same time.
        max_queued: Further requests that may wait; more get a 503.
        timeout: Seconds from a request's arrival to its reply.
    """

    max_body_bytes: int = 16 * 2**20
    max_depth: int = 32
    max_concurrent: int = 2
    max_queued: int = 64
    timeout: float = 30.0


class Admission:
    """Counts requests in progress and refuses those above the limit.

    Args:
        limits: `Limits`.
    """

    def __init__(self, limits):
        self._most = limits.max_concurrent + limits.max_queued
        self._now = 0

    @contextlib.contextmanager
    def one(self):
        """Count one request as in progress.

        Raises:
            ServingError: 503 if the limit is reached.
        """
        if self._now >= self._most:
            raise ServingError(
                503,
                f"{self._now} requests are in progress, which is the limit. Try again "
                f"later, or start the server with a larger --max-queued.",
                {"Retry-After": "1"},
            )
        self._now += 1
        try:
            yield
        finally:
            self._now -= 1


async def read_body(request, most):
    """Return the body of a Starlette request.

    The rest of a body that is too long is read and discarded for a while: a client that
    is cut off while sending does not see the reply.

    Args:
        request: `starlette.requests.Request`.
        most: Most bytes.

    Raises:
        ServingError: 413 if the body is longer, 400 if it is compressed.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise invalid(
            f"Content-Encoding {encoding!r} is not supported; send plain JSON"
        )
    pieces, size, stream = [], 0, request.stream()
    async for piece in stream:
        size += len(piece)
        if size > most:
            break
        pieces.append(piece)
    else:
        return b"".join(pieces)
    pieces.clear()
    with anyio.move_on_after(_DRAIN_SECONDS):
        async for piece in stream:
            size += len(piece)
    raise ServingError(
        413,
        f"The request body has {size} bytes or more, and at most {most} are accepted. "
        f"Send fewer examples, or start the server with a larger --max-body-bytes.",
    )


def check_depth(body, most):
    """Raise if lists and objects in a JSON text are nested too deep.

    JSON parsers recurse, so this runs before them.

    Args:
        body: Bytes of the text.
        most: Deepest nesting.

    Raises:
        ServingError: If it is deeper.
    """
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    text = np.frombuffer(unescaped, np.uint8)
    quoted = np.logical_xor.accumulate(text == ord('"'))
    steps = _STEPS[text[~quoted]]
    depth = np.max(np.cumsum(steps[steps != 0], dtype=np.int64), initial=0)
    if depth > most:
        raise invalid(
            f"JSON Parse error: lists and objects are nested {depth} deep, and at most "
            f"{most} levels are accepted"
        )
