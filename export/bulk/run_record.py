"""The record that binds all files under a prefix to one run."""

import json
import os
import time

from .errors import BulkError


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
        _compare(_read(path), record, path)


def _read(path, attempts=20):
    """Return the record; wait a little for a process that is just writing it."""
    for attempt in range(attempts):
        time.sleep(0.1 * bool(attempt))
        try:
            with open(path, encoding="utf-8") as opened:
                return json.load(opened)
        except ValueError:
            continue
    raise BulkError(
        f"{path} is no record of a run, but {os.path.getsize(path)} bytes of something "
        f"else. If a process was killed there, delete it; or choose another --output"
    )


def _compare(before, record, path):
    changed = [
        f"{name} is {record.get(name)!r} and was {before.get(name)!r}"
        for name in {**before, **record}
        if before.get(name) != record.get(name)
    ]
    if changed:
        raise BulkError(
            f"another run was begun under this --output: {'; '.join(changed)}; see "
            f"{path}. Choose another --output"
        )
