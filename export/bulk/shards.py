"""The images of each shard, the name of its file, and the record of its content."""

import hashlib
import json
import pathlib

from ..whole_files import write_bytes, write_whole


def shard_range(num_images, num_shards, index):
    """Return the first image of a shard and the one after its last.

    Sizes differ by at most 1.

    Example:
        >>> [shard_range(10, 3, index) for index in range(3)]
        [(0, 3), (3, 6), (6, 10)]
    """
    return num_images * index // num_shards, num_images * (index + 1) // num_shards


def shard_path(stem, index, num_shards, ending=""):
    """Return the path of a shard, numbered as tensorflow-datasets does.

    Example:
        >>> shard_path("out/digits", 2, 16, ".npz")
        'out/digits-00002-of-00016.npz'
    """
    return f"{stem}-{index:05d}-of-{num_shards:05d}{ending}"


def write_shard(path, write):
    """Write a shard and the record of its size and hash.

    Args:
        path: Path of the shard, a file or a folder.
        write: Function that writes to the path that it is given.
    """

    def write_and_record(hidden):
        write(hidden)
        record = _record_path(path)
        record.parent.mkdir(exist_ok=True)
        # Before the shard is there, so that it never lacks a record.
        write_bytes(record, json.dumps(_described(hidden)).encode())

    write_whole(path, write_and_record)


def read_record(path):
    """Return the recorded size and hash of a shard as a dict, or None."""
    try:
        return json.loads(_record_path(path).read_text())
    except (OSError, ValueError):
        return None


def is_whole(path):
    """Return whether a shard has the size and the hash that were recorded."""
    record = read_record(path)
    return (
        record is not None
        and pathlib.Path(path).exists()
        and _described(path) == record
    )


def _record_path(path):
    path = pathlib.Path(path)
    return path.parent / ".shards" / f"{path.name}.json"


def _described(path):
    path = pathlib.Path(path)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    size, digest = 0, hashlib.sha256()
    for file in files:
        if path.is_dir():
            digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        with open(file, "rb") as opened:
            while block := opened.read(2**20):
                digest.update(block)
                size += len(block)
    return {"size": size, "sha256": digest.hexdigest()}
