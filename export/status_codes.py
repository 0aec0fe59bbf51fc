"""TensorFlow's status codes, for code that runs without TensorFlow."""

import enum


class StatusCode(enum.IntEnum):
    """Status code that TensorFlow and gRPC share. Any other number gives `UNKNOWN`.

    Attributes:
        http: HTTP status that TensorFlow Serving's REST interface replies with.
    """

    http: int

    OK = 0, 200
    CANCELLED = 1, 499
    UNKNOWN = 2, 500
    INVALID_ARGUMENT = 3, 400
    DEADLINE_EXCEEDED = 4, 504
    NOT_FOUND = 5, 404
    ALREADY_EXISTS = 6, 409
    PERMISSION_DENIED = 7, 403
    RESOURCE_EXHAUSTED = 8, 429
    FAILED_PRECONDITION = 9, 400
    ABORTED = 10, 409
    OUT_OF_RANGE = 11, 400
    UNIMPLEMENTED = 12, 501
    INTERNAL = 13, 500
    UNAVAILABLE = 14, 503
    DATA_LOSS = 15, 500
    UNAUTHENTICATED = 16, 401

    def __new__(cls, number, http):
        code = int.__new__(cls, number)
        code._value_ = number
        code.http = http
        return code

    @classmethod
    def _missing_(cls, value):
        return cls.UNKNOWN


# A request that ends with one of these may succeed when it is sent again.
TEMPORARY = frozenset(
    {
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.UNAVAILABLE,
    }
)
