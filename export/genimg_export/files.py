"""Files and directories that are written atomically, flushed and locked."""

import contextlib
import os
import pathlib
import shutil
import uuid

PathLike = str | os.PathLike[str]


@contextlib.contextmanager
def atomic_path(path):
    """Give a path to write a file or directory to; rename it to `path` afterwards.

    Readers of `path` see the old content until the new one is complete. After an error
    `path` is unchanged and the unfinished file or directory is removed. A process that
    is killed leaves it behind under a name that begins with a dot.

    Args:
        path: Final path. A file there is replaced. A directory there must be empty.

    Raises:
        OSError: If the renaming fails.

    Example:
        >>> with atomic_path("hello.txt") as unfinished:
        ...     unfinished.write_text("hello")
    """
    path = pathlib.Path(path)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    except BaseException:
        remove(unfinished)
        raise


def write_bytes(path, content):
    """Write bytes to a file, which appears only when complete.

    Args:
        path: Path of the file; overwritten if it exists.
        content: Bytes.
    """
    with atomic_path(path) as unfinished:
        unfinished.write_bytes(content)


def remove_leftovers(paths):
    """Remove what killed processes left of unfinished files or folders.

    Args:
        paths: Paths in one folder, all of them there, so that nobody writes them any
            more.
    """
    names = {pathlib.Path(path).name for path in paths}
    for hidden in pathlib.Path(paths[0]).parent.glob(".*"):
        if hidden.name[1:].rpartition(".")[0] in names:
            remove(hidden)


def remove(path):
    """Remove a file or folder, a `pathlib.Path`, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(path):
    """Flush a file, or the list of names of a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory):
    """Flush a directory and everything in it to the disk."""
    for folder, _, files in os.walk(directory):
        for name in files:
            sync(os.path.join(folder, name))
        sync(folder)


@contextlib.contextmanager
def file_lock(path, wait=True):
    """Hold a lock that is released when this process ends.

    Args:
        path: Path of the lock file.
        wait: Whether to wait for the lock; otherwise raise a `BlockingIOError`.
    """
    import fcntl  # Windows lacks it; the rest of the package imports there.

    with open(path, "a") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
