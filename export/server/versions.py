"""The versions of one model and their states."""

import dataclasses
import gc
import logging
import os
import threading

from ..status_codes import StatusCode
from .errors import ServingError, invalid
from .saved_model import LoadedModel
from .settings import version_directories

_log = logging.getLogger("serve")


@dataclasses.dataclass
class _Version:
    """State of a version; `model` is set while it is AVAILABLE."""

    number: int
    state: str = "START"
    error_code: str = "OK"
    error_message: str = ""
    model: LoadedModel | None = None
    failed_files: tuple | None = None


class ModelVersions:
    """Loads and unloads versions of a model, and finds the one of a request.

    `sync` is called by one thread, the other methods by any.

    Args:
        settings: `ModelSettings`.

    Attributes:
        settings: The latest `ModelSettings`.
    """

    def __init__(self, settings):
        self.settings = settings
        self._versions = {}
        self._lock = threading.Lock()

    def sync(self, settings=None):
        """Load and unload versions to match the settings and the disk.

        Old versions are unloaded once the newest wanted one is available, so one can
        always answer. A version that failed to load is retried when its files change.

        Args:
            settings: New `ModelSettings`, if they may have changed.
        """
        self.settings = settings or self.settings
        directories = version_directories(self.settings.base_path)
        wanted = self.settings.wanted(directories)
        with self._lock:
            for number in wanted:
                self._versions.setdefault(number, _Version(number))
        for number in sorted(wanted, reverse=True):
            self._load(number, directories[number])
        if wanted and not self._available():
            # The newest version is broken, and the server has just started.
            for number in sorted(set(directories) - wanted, reverse=True):
                if self._load(number, directories[number]):
                    break
        available = self._available()
        kept = set(wanted)
        if wanted and max(wanted) not in available:
            kept |= set(available[-1:])
        self._unload(set(available) - kept)

    def close(self):
        """Unload all versions."""
        self._unload(self._available())

    def find(self, version=None, label=None):
        """Return `(number, LoadedModel)` of a version, by default the newest.

        Args:
            version: Its number.
            label: Or its label.

        Raises:
            ServingError: If there is none, or it is not available.
        """
        asked = f"Latest({self.settings.name})"
        if label is not None:
            if label not in self.settings.labels:
                raise invalid(f"Unrecognized servable version label: {label}")
            version = self.settings.labels[label]
        if version is not None:
            asked = f"Specific({self.settings.name}, {version})"
        with self._lock:
            if version is None:
                version = max(self._loaded(), default=None)
            found = self._versions.get(version)
            if found is None or found.model is None:
                raise ServingError(404, f"Servable not found for request: {asked}")
            return found.number, found.model

    def status(self, version=None, label=None):
        """Return the state of one version or of all, as TensorFlow Serving's JSON.

        Args:
            version: Number of the version.
            label: Or its label.

        Raises:
            ServingError: If there is none.
        """
        name = self.settings.name
        if label is not None:
            version, _ = self.find(label=label)
        with self._lock:
            records = sorted(self._versions.items(), reverse=True)
            states = [
                {
                    "version": str(number),
                    "state": record.state,
                    "status": {
                        "error_code": record.error_code,
                        "error_message": record.error_message,
                    },
                }
                for number, record in records
                if version in (None, number)
            ]
        if states:
            return {"model_version_status": states}
        if version is None:
            raise ServingError(404, f"Could not find any versions of model {name}")
        raise ServingError(404, f"Could not find version {version} of model {name}")

    def _loaded(self):
        return [number for number, v in self._versions.items() if v.model is not None]

    def _available(self):
        """Return the numbers of loaded versions, the newest last."""
        with self._lock:
            return sorted(self._loaded())

    def _set(self, number, **changes):
        with self._lock:
            record = self._versions.setdefault(number, _Version(number))
            self._versions[number] = dataclasses.replace(record, **changes)
        _log.info("%s version %d is %s", self.settings.name, number, changes["state"])

    def _load(self, number, directory):
        """Load a version unless it is loaded; return whether it is available."""
        with self._lock:
            record = self._versions.get(number, _Version(number))
        if record.model is not None:
            return True
        files = _files(directory)
        if files == record.failed_files:
            return False
        self._set(number, state="LOADING", error_code="OK", error_message="")
        try:
            model = LoadedModel(directory)
        except Exception as error:
            code = StatusCode(getattr(error, "error_code", None)).name
            text = str(getattr(error, "message", error))
            changes = {"error_code": code, "error_message": text}
            self._set(number, state="END", failed_files=files, **changes)
            _log.error("%s version %d: %s", self.settings.name, number, text)
            return False
        self._set(number, state="AVAILABLE", model=model, failed_files=None)
        return True

    def _unload(self, numbers):
        """Unload versions; requests in progress keep the version that they use."""
        for number in numbers:
            self._set(number, state="UNLOADING", model=None)
        if numbers:
            gc.collect()  # Graphs contain reference cycles.
        for number in numbers:
            self._set(number, state="END")


def _files(directory):
    """Return paths, sizes and times of a version's files, to detect changes."""
    found = []
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            try:
                stat = os.stat(path)
            except OSError:  # Deleted meanwhile.
                continue
            found.append((path, stat.st_size, stat.st_mtime_ns))
    return tuple(sorted(found))
