"""Sending again what failed for a while."""

import dataclasses
import random
import time

from .errors import ClientError, Unavailable


@dataclasses.dataclass(frozen=True)
class Retries:
    """Sends a request again, ever more slowly, while the server is unavailable.

    A seed decides an image, so that a request does no harm when it is sent twice.

    Attributes:
        retries: How often to send again.
        first_wait: Seconds before the second attempt; doubled for each one after it.
        max_wait: Most seconds between two attempts.
    """

    retries: int = 5
    first_wait: float = 0.5
    max_wait: float = 20.0

    def call(self, function):
        """Return what `function` returns.

        Raises:
            ClientError: If the server refused the request, or was still unavailable
                at the last attempt.
        """
        for attempt in range(self.retries + 1):
            try:
                return function()
            except Unavailable as error:
                if attempt == self.retries:
                    raise ClientError(f"{error} (attempts: {attempt + 1})") from error
                # Random, so that clients that failed together do not return together.
                wait = self.first_wait * 2**attempt * random.uniform(0.5, 1)
                time.sleep(min(self.max_wait, max(wait, error.wait or 0)))
