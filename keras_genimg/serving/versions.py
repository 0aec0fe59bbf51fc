"""The numbered versions of a model, in the directory that a server watches."""

import contextlib
import os
import pathlib
import shutil
import uuid

RECORD = ".last_version"
LOCK = ".lock"
UNFINISHED = ".unfinished-"
MAX_VERSION = 2**63 - 1  # What a server reads as a number.


class Versions:
    """The versions `<directory>/<number>/` of a model.

    A server loads every name that is a number, as soon as it appears, and never again
    a number that it has given up. So a version is written under another name, and its
    number, once taken, is recorded in the file `.last_version` before the directory is
    renamed; a number that was recorded and is not there is used up.

    Publishers on one machine, or on several that share a file system with `flock`,
    may work at the same time: they take turns where it matters.

    Args:
        directory: Path of the directory; made if it is not there.
    """

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def workspace(self):
        """Give a directory to write in, on the same file system; remove it after.

        Those that publishers left behind who were killed are removed first.
        """
        workspace = self.directory / f"{UNFINISHED}{uuid.uuid4().hex}"
        with contextlib.ExitStack() as stack:
            with self._locked():
                self._remove_abandoned()
                workspace.mkdir()
                stack.callback(shutil.rmtree, workspace, ignore_errors=True)
                # Held for as long as this process lives, also if it is killed.
                stack.enter_context(_flock(workspace / LOCK))
            yield workspace

    def check_new(self, version):
        """Return the number of a new version: the next one if `version` is None.

        Raises:
            ValueError: If the number was used, or is below one that was.
        """
        last = self._last()
        version = last + 1 if version is None else version
        if not last < version <= MAX_VERSION:
            raise ValueError(
                f"A new version must be above {last}, the last one in "
                f"{self.directory}, also if that was removed, since a server does not "
                f"load a number twice and serves the highest. Received: "
                f"version={version}"
            )
        return version

    def add(self, source, workspace, version=None):
        """Make a finished directory a version, and return its path.

        Args:
            source: The directory, which is renamed; in the workspace, and on the disk
                as `sync_tree` puts it there.
            workspace: What `workspace` gave.
            version: A number; the next one by default.

        Raises:
            ValueError: As `check_new`.
        """
        with self._locked():
            version = self.check_new(version)
            record = workspace / RECORD
            record.write_text(f"{version}\n")
            sync(record)
            os.replace(record, self.directory / RECORD)
            sync(self.directory)
            # No number as high as this was here a moment ago, and publishers wait.
            path = self.directory / str(version)
            os.rename(source, path)
            sync(self.directory)
        return path

    def prune(self, keep, workspace):
        """Remove all but the `keep` highest versions, with the workspace.

        Links and files are left, and so is what is no number.

        Returns:
            The numbers that were removed.
        """
        removed = []
        with self._locked():
            numbers = self._numbers()
            for number in sorted(numbers)[:-keep]:
                path = numbers[number]
                if path.is_dir() and not path.is_symlink():
                    # To a name that no server reads, before files begin to go.
                    os.rename(path, workspace / f"removed-{number}")
                    removed.append(number)
        return removed

    def _numbers(self):
        """Return paths by number of all that a server takes for a version."""
        return {
            int(path.name): path
            for path in self.directory.iterdir()
            if path.name.isascii() and path.name.isdigit()
        }

    def _last(self):
        """Return the highest number ever used, 0 if there was none."""
        record = self.directory / RECORD
        text = record.read_text() if record.exists() else "0"
        if not text.strip().isdecimal():
            raise ValueError(
                f"{record} must hold the number of the last version, so that none is "
                f"used twice. Write it there. Received: {text[:40]!r}"
            )
        return max([int(text), *self._numbers()])

    def _remove_abandoned(self):
        for path in self.directory.glob(f"{UNFINISHED}*"):
            try:
                with _flock(path / LOCK, wait=False):
                    shutil.rmtree(path, ignore_errors=True)
            except OSError:
                pass  # Its publisher is at work, or is another user.

    def _locked(self):
        return _flock(self.directory / LOCK)


def sync(path):
    """Put a file or a directory's list of names on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory):
    """Put a directory and everything in it on the disk."""
    for folder, _, files in os.walk(directory):
        for name in files:
            sync(os.path.join(folder, name))
        sync(folder)


@contextlib.contextmanager
def _flock(path, wait=True):
    """Hold a lock that ends with this process."""
    import fcntl  # Only where there are servers to publish for: Linux and macOS.

    with open(path, "a") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
