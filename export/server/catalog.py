"""All models of a server, watched for new versions."""

import logging
import threading

from .errors import ServingError
from .versions import ModelVersions

_log = logging.getLogger("serve")


class Catalog:
    """The served models, kept in step with the disk.

    Args:
        read_settings: Function that returns the `ModelSettings` of all models.
        poll_seconds: Seconds between two scans of the disk.
    """

    def __init__(self, read_settings, poll_seconds):
        self._read_settings = read_settings
        self._poll_seconds = poll_seconds
        self._models = {}
        self._stopped = threading.Event()
        self._watcher = threading.Thread(
            target=self._watch, name="watcher", daemon=True
        )

    def start(self):
        """Load the models, then watch the disk in the background."""
        self.sync()
        if not self._models:
            _log.warning("no models yet; scanning again every %g s", self._poll_seconds)
        self._watcher.start()

    def stop(self):
        """Stop watching and unload all models."""
        self._stopped.set()
        if self._watcher.is_alive():
            self._watcher.join()
        for model in self._models.values():
            model.close()

    def sync(self):
        """Scan the disk once; load new versions and unload old ones."""
        settings = {given.name: given for given in self._read_settings()}
        for name, given in settings.items():
            if name not in self._models:
                # A new dict, since requests read the old one meanwhile.
                self._models = {**self._models, name: ModelVersions(given)}
        for name, model in self._models.items():
            if self._stopped.is_set():
                return
            if name in settings:
                model.sync(settings[name])
            else:
                model.close()

    def model(self, name):
        """Return the `ModelVersions` called `name`.

        Raises:
            ServingError: If there is none.
        """
        if name not in self._models:
            raise ServingError(404, f"Servable not found for request: Latest({name})")
        return self._models[name]

    def models(self):
        """Return all `ModelVersions`, by name."""
        return dict(sorted(self._models.items()))

    def _watch(self):
        failure = None
        while not self._stopped.wait(self._poll_seconds):
            try:
                self.sync()
                failure = None
            except Exception as error:  # Loaded models keep serving.
                if str(error) != failure:
                    failure = str(error)
                    _log.error("cannot scan for new versions: %s", failure)
