"""Files that appear complete or not at all."""

import os
import pathlib


def check_png_path(path):
    """Return `path` as a `pathlib.Path`, or raise if it does not end in `.png`.

    Raises:
        ValueError: If it does not.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"`path` must end in .png. Received: path={str(path)!r}")
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
