"""Files and folders, each whole or not there."""

import os
import pathlib
import shutil
import uuid


def write_whole(path, write):
    """Write a file or folder, which appears only when complete.

    Args:
        path: Path of the file or folder; overwritten if it is a file.
        write: Function that writes to the path that it is given.
    """
    path = pathlib.Path(path)
    hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write(str(hidden))
        os.replace(hidden, path)
    except OSError:
        # A folder does not replace another. Then somebody else was faster.
        if not (path.is_dir() and hidden.is_dir()):
            raise
    finally:
        remove(hidden)


def write_bytes(path, content):
    """Write bytes to a file, which appears only when complete.

    Args:
        path: Path of the file; overwritten if it exists.
        content: Bytes.
    """
    write_whole(path, lambda hidden: pathlib.Path(hidden).write_bytes(content))


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
