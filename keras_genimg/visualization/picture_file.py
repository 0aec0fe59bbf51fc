"""Files that appear complete or not at all."""

import os
import pathlib


def check_suffix(path, suffix):
    """Return `path` as a `pathlib.Path`, or raise if it does not end in `suffix`.

    Args:
        path: Where a picture is to be written.
        suffix: What it must end in, such as `".png"`, in small letters.

    Raises:
        ValueError: If it does not.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() != suffix:
        raise ValueError(f"`path` must end in {suffix}. Received: path={str(path)!r}")
    return path


def replace_file(path, write):
    """Write a file beside `path`, then move it there in one step.

    Args:
        path: A `pathlib.Path`. A file that is there stays as it is if `write` fails.
        write: Function that writes to the binary file it is given.

    Example:
        >>> replace_file(pathlib.Path("hello.txt"), lambda file: file.write(b"hello"))
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            write(file)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
