"""Numbered versions of a model, in the directory that a server watches."""

import contextlib
import os
import pathlib
import shutil
import time
import uuid

from .files import file_lock, sync

RECORD = ".last_version"
LOCK = ".lock"
UNFINISHED = ".unfinished-"
LOADING_SECONDS = 600  # Servers load a version in this time.
MAX_VERSION = 2**63 - 1  # Largest number that a server accepts.


class Versions:
    """The versions `<directory>/<number>/` of a model.

    A server loads a directory as soon as its name is a number, and never loads a number
    again after it has dropped it. A version is therefore written under another name.
    Its number is recorded in the file `.last_version` before the directory is renamed.
    A recorded number is never used again, even if its directory is missing.

    Several publishers may work at the same time, on one machine or on several that
    share a file system with `flock`. A lock serializes the critical steps.

    Args:
        directory: Path of the directory; created if missing.
    """

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def workspace(self):
        """Give a directory to write in, on the same file system; remove it afterwards.

        Directories left behind by publishers that were killed are removed first.
        """
        workspace = self.directory / f"{UNFINISHED}{uuid.uuid4().hex}"
        with contextlib.ExitStack() as stack:
            with file_lock(self.directory / LOCK):
                self._remove_abandoned()
                workspace.mkdir()
                stack.callback(shutil.rmtree, workspace, ignore_errors=True)
                # Released when this process ends, even if it is killed.
                stack.enter_context(file_lock(workspace / LOCK))
            yield workspace

    def check_new(self, version):
        """Return the number of a new version: the next one if `version` is None.

        Raises:
            ValueError: If the number is not above all numbers ever used.
        """
        last = self._last()
        version = last + 1 if version is None else version
        if not last < version <= MAX_VERSION:
            raise ValueError(
                f"A new version must be above {last}, the last one in "
                f"{self.directory}, which may have been removed. A server loads no "
                f"number twice and serves the highest. Received: version={version}"
            )
        return version

    def add(self, source, workspace, version):
        """Turn a finished directory into a version and return its path.

        Args:
            source: The directory, which is renamed. It is in the workspace, and flushed
                to disk with `sync_tree`.
            workspace: Directory given by `workspace`.
            version: Version number; None for the next one.

        Raises:
            ValueError: See `check_new`.
        """
        with file_lock(self.directory / LOCK):
            version = self.check_new(version)
            record = workspace / RECORD
            record.write_text(f"{version}\n")
            sync(record)
            os.replace(record, self.directory / RECORD)
            sync(self.directory)
            os.utime(source)  # Its age counts from here.
            # Free: the number is above all others, and other publishers wait.
            path = self.directory / str(version)
            os.rename(source, path)
            sync(self.directory)
        return path

    def prune(self, keep, workspace):
        """Remove all but the `keep` highest versions.

        Versions that a server may be loading are kept: those younger than
        `LOADING_SECONDS`. So are links, files and directories whose names are not
        numbers.

        Args:
            keep: Number of versions to keep.
            workspace: Directory given by `workspace`; old versions are moved there and
                removed with it.

        Returns:
            List of the numbers removed.
        """
        removed = []
        with file_lock(self.directory / LOCK):
            numbers = self._numbers()
            for number in sorted(numbers)[:-keep]:
                path = numbers[number]
                age = time.time() - path.lstat().st_mtime
                if path.is_dir() and not path.is_symlink() and age >= LOADING_SECONDS:
                    # No server reads this name, so files can be deleted.
                    os.rename(path, workspace / f"removed-{number}")
                    removed.append(number)
        return removed

    def _numbers(self):
        """Return paths by number of everything that a server takes for a version."""
        return {
            int(path.name): path
            for path in self.directory.iterdir()
            if path.name.isascii() and path.name.isdigit()
        }

    def _last(self):
        """Return the highest number ever used, or 0."""
        record = self.directory / RECORD
        text = record.read_text(errors="replace") if record.exists() else "0"
        if not text.strip().isdecimal():
            raise ValueError(
                f"{record} must hold the number of the last version, so that no number "
                f"is used twice. Write it into the file. Received: {text[:40]!r}"
            )
        return max([int(text), *self._numbers()])

    def _remove_abandoned(self):
        for path in self.directory.glob(f"{UNFINISHED}*"):
            # An error if its publisher is still running, or is another user.
            with contextlib.suppress(OSError), file_lock(path / LOCK, wait=False):
                shutil.rmtree(path, ignore_errors=True)
