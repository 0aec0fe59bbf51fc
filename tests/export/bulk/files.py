"""Bulk jobs without an engine, what they wrote, and one whose shards go wrong."""

import dataclasses
import os
from types import SimpleNamespace

import numpy as np

LABELS = np.array([0, 2, 1, 1, 0, 2, 2, 0, 1, 0, 2])


def write_all(job, call):
    """Write all shards of a job; return what it says at the end."""
    os.makedirs(os.path.dirname(job.prefix), exist_ok=True)
    for index in reversed(range(job.num_shards)):
        job.write(index, call)
    return job.finish()


def content(folder):
    """Return the bytes of all files of a folder by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def seeds_and_pixels(job):
    """Return the seeds and images of `.npz` shards, in order."""
    shards = [np.load(job.path(index)) for index in range(job.num_shards)]
    return [
        np.concatenate([shard[name] for shard in shards]) for name in ("seed", "images")
    ]


@dataclasses.dataclass(frozen=True)
class BrokenJob:
    """Raises an exception with a message, or ends the process if that is None."""

    message: str | None

    model = SimpleNamespace(load=lambda threads: None)

    def write(self, index, call):
        if self.message:
            raise ValueError(self.message)
        os.kill(os.getpid(), 9)
