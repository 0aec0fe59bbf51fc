"""Retries of requests to a server that is unavailable."""

import dataclasses
import random
import time
from collections.abc import Callable
from typing import Any

from .errors import ClientError, Unavailable


@dataclasses.dataclass(frozen=True)
class Retries:
    """Sends a request again, with longer and longer waits, while it may yet succeed.

    A seed decides an image, so sending a request twice does no harm.

    Attributes:
        retries: Attempts after the first.
        first_wait: Seconds before the second attempt; doubled before each later one.
        max_wait: Longest wait between two attempts, in seconds.
    """

    retries: int = 5
    first_wait: float = 0.5
    max_wait: float = 20.0

    def call(self, function: Callable[[], Any]) -> Any:
        """Return the result of `function`, which sends a request.

        Raises:
            ClientError: If the server refuses the request, or the last attempt fails
                too.
        """
        for attempt in range(self.retries + 1):
            try:
                return function()
            except Unavailable as error:
                if attempt == self.retries:
                    raise ClientError(f"{error} (attempts: {attempt + 1})") from error
                # Random, so that clients that fail together do not return together.
                wait = self.first_wait * 2**attempt * random.uniform(0.5, 1)
                time.sleep(min(self.max_wait, max(wait, error.wait or 0)))
