"""A progress bar of shards."""

import os
import threading

from ..install_hint import install_hint
from .errors import BulkError


class Progress:
    """A progress bar that counts the shards which are there, whoever wrote them.

    Args:
        job: `SampleJob` or `ScoreJob`.
        indexes: Numbers of the shards to count.

    Raises:
        BulkError: If tqdm is missing.
    """

    def __init__(self, job, indexes):
        try:
            from tqdm import tqdm
        except ImportError as error:
            raise BulkError(f"{error}: {install_hint('bulk')}") from None
        self._job, self._missing = job, list(indexes)
        # No bar in a log file.
        self._bar = tqdm(total=self._size(indexes), unit=job.unit, disable=None)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()
        self._bar.close()

    def _watch(self):
        stopped = False
        while not stopped:
            stopped = self._stop.wait(0.5)
            before = self._size(self._missing)
            self._missing = [
                i for i in self._missing if not os.path.exists(self._job.path(i))
            ]
            self._bar.update(before - self._size(self._missing))

    def _size(self, indexes):
        return sum(map(self._job.size, indexes))
