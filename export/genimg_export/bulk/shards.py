"""The files of a run: its shards, records of their content, and one of the run."""

import hashlib
import json
import os
import pathlib
import time

from ..files import atomic_path, write_bytes


class BulkError(Exception):
    """Error of a command, whose text is printed without a traceback."""


def shard_range(num_images, num_shards, index):
    """Return the first image of a shard and the one after its last.

    Sizes differ by at most 1.

    Example:
        >>> [shard_range(10, 3, index) for index in range(3)]
        [(0, 3), (3, 6), (6, 10)]
    """
    return num_images * index // num_shards, num_images * (index + 1) // num_shards


def check_num_shards(num_images, num_shards):
    """Raise `BulkError` if a shard would be empty."""
    if num_shards > num_images:
        raise BulkError(
            f"{num_images} images do not fill {num_shards} shards; lower --num-shards"
        )


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
    try:
        with atomic_path(path) as unfinished:
            write(str(unfinished))
            record = _record_path(path)
            record.parent.mkdir(exist_ok=True)
            # The record is written first, so that no shard lacks one.
            write_bytes(record, json.dumps(_described(unfinished)).encode())
    except OSError:
        # A folder does not replace another. Then another process was faster.
        if not pathlib.Path(path).is_dir():
            raise


def read_record(path):
    """Return the recorded size and hash of a shard as a dict, or None."""
    try:
        return json.loads(_record_path(path).read_text())
    except (OSError, ValueError):
        return None


def is_whole(path):
    """Return whether a shard has the size and the hash that were recorded."""
    return pathlib.Path(path).exists() and _described(path) == read_record(path)


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


def record_path(prefix):
    """Return the path of the record of a run."""
    return f"{prefix}-run.json"


def claim(prefix, record):
    """Write what a run is, or check that it is the one that was begun here.

    The name of a shard does not tell which model drew it. Without this check, a second
    run under the same prefix would take the first one's shards for its own.

    Args:
        prefix: Path that the names of all files of the run begin with.
        record: JSON object.

    Raises:
        BulkError: If another run was begun under this prefix.
    """
    path = record_path(prefix)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        # Only one of several processes can create it.
        with open(path, "x", encoding="utf-8") as opened:
            try:
                json.dump(record, opened, indent=1)
                opened.flush()
            except OSError:
                os.unlink(path)
                raise
    except FileExistsError:
        before = _read(path)
        changed = [
            f"{name} is {record.get(name)!r} and was {before.get(name)!r}"
            for name in {**before, **record}
            if before.get(name) != record.get(name)
        ]
        if changed:
            raise BulkError(
                f"another run was begun under this --output: {'; '.join(changed)}; see "
                f"{path}. Choose another --output"
            ) from None


def _read(path):
    """Return the record; wait a little for a process that is just writing it."""
    for attempt in range(20):
        time.sleep(0.1 * bool(attempt))
        try:
            return json.loads(pathlib.Path(path).read_text("utf-8"))
        except ValueError:
            continue
    raise BulkError(
        f"{path} is no record of a run, but {os.path.getsize(path)} bytes of something "
        f"else. If a process was killed there, delete it; or choose another --output"
    )
