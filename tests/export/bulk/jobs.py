"""Jobs whose shards go wrong."""

import dataclasses
import os


class NoModel:
    def load(self, threads):
        return None


@dataclasses.dataclass(frozen=True)
class Job:
    """Ends the process that writes a shard.

    Attributes:
        message: Text of an exception to raise instead, or None.
    """

    message: str | None = None

    model = NoModel()

    def write(self, index, call):
        if self.message:
            raise ValueError(self.message)
        os.kill(os.getpid(), 9)
