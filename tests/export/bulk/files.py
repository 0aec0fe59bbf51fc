"""What bulk jobs wrote."""

import numpy as np


def content(folder):
    """Return the bytes of all files of a folder by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def seeds_and_pixels(job):
    """Return the seeds and images of `.npz` shards, in order."""
    shards = [np.load(job.path(index)) for index in range(job.num_shards)]
    return [
        np.concatenate([shard[name] for shard in shards]) for name in ("seed", "images")
    ]
