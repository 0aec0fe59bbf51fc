"""The models of a server: loaded SavedModels, their versions, and the watched disk."""

import concurrent.futures
import contextlib
import dataclasses
import gc
import logging
import os
import pathlib
import re
import threading
import time
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import error_codes_pb2

from ..metadata import read_metadata
from .errors import ServingError, from_tensorflow, invalid

VERSION = re.compile("[0-9]{1,19}")
_log = logging.getLogger("serve")


class LoadedModel:
    """A SavedModel in a session, as TensorFlow Serving holds it.

    A session, because its runs can time out; a `tf.function` called from Python cannot.

    Args:
        directory: Path of the SavedModel.

    Attributes:
        signatures: `SignatureDef` by name.
        metadata: The content of `assets.extra/metadata.json`, or None.

    Raises:
        Exception: If files are missing or TensorFlow cannot load them.
    """

    def __init__(self, directory):
        if not os.path.exists(os.path.join(directory, "saved_model.pb")):
            text = f"{directory} has no saved_model.pb"
            raise tf.errors.NotFoundError(None, None, text)
        graph = tf.Graph()
        # Drawing runs thousands of small operations, which only lose time in threads.
        config = tf.compat.v1.ConfigProto(
            allow_soft_placement=True, intra_op_parallelism_threads=1
        )
        config.gpu_options.allow_growth = True
        with graph.as_default():
            self._session = tf.compat.v1.Session(graph=graph, config=config)
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], directory)
        self.signatures = dict(loaded.signature_def)
        self.metadata = read_metadata(directory) or None

    def signature(self, name):
        """Return the `SignatureDef` called `name`, which clients can call.

        Raises:
            ServingError: If the model does not have it.
        """
        available = sorted(key for key in self.signatures if not key.startswith("__"))
        if name not in available:
            raise invalid(
                f'Serving signature name: "{name}" not found in signature def. '
                f"Available: {', '.join(available)}",
            )
        return self.signatures[name]

    def warm_up(self, threads, seconds):
        """Run the signatures that clients call, each once with one example.

        TensorFlow prepares a graph in its first run, which takes it seconds. A
        signature that fails is reported, and does not keep the others from being
        served. Signatures that `metadata` does not describe are left out.

        Args:
            threads: Number of signatures to run at the same time.
            seconds: Time limit of each run.
        """
        described = (self.metadata or {}).get("signatures", {})
        wanted = {
            name: each["inputs"]
            for name, each in described.items()
            if each.get("warm_up", True) and not each.get("xla", False)
        }
        if "sample" in wanted:  # Its graph is prepared for each name.
            wanted["serving_default"] = wanted["sample"]

        def run(name):
            inputs = {key: _example(given) for key, given in wanted[name].items()}
            try:
                self.run(name, inputs, seconds)
            except TimeoutError:
                _log.warning(
                    "%s takes more than %g s for one example; requests for it need a "
                    "longer --timeout",
                    name,
                    seconds,
                )
            except ServingError as error:
                _log.warning("%s cannot be warmed up: %s", name, error.message)

        pool = concurrent.futures.ThreadPoolExecutor(threads)
        try:
            list(pool.map(run, wanted))
        finally:  # Do not wait for the others if the user interrupts.
            pool.shutdown(wait=False, cancel_futures=True)

    def signature_defs(self):
        """Return all signatures as in TensorFlow Serving's metadata reply."""
        return {
            name: json_format.MessageToDict(
                signature,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            for name, signature in self.signatures.items()
        }

    def run(self, signature_name, inputs, seconds):
        """Run a signature.

        Args:
            signature_name: A key of `signatures`.
            inputs: NumPy arrays by name.
            seconds: Time limit of the run.

        Returns:
            NumPy arrays by name.

        Raises:
            ServingError: If the graph refuses the inputs.
            TimeoutError: If the run takes longer.
        """
        if seconds <= 0:
            raise TimeoutError
        signature = self.signatures[signature_name]
        options = tf.compat.v1.RunOptions(timeout_in_ms=max(1, round(seconds * 1000)))
        try:
            outputs = self._session.run(
                {name: info.name for name, info in signature.outputs.items()},
                {signature.inputs[name].name: value for name, value in inputs.items()},
                options=options,
            )
        except tf.errors.DeadlineExceededError:
            raise TimeoutError from None
        except tf.errors.OpError as error:
            raise from_tensorflow(error) from None
        # For one string, a session returns bytes, which NumPy would cut at zeros.
        return {
            name: np.asarray(value, object if isinstance(value, bytes) else None)
            for name, value in outputs.items()
        }


def _example(given):
    """Return an array of one example in the range of an input, from its metadata."""
    shape = [1 if size is None else size for size in given["shape"]]
    dtype = tf.as_dtype(given["dtype"])
    if dtype == tf.string:
        return np.full(shape, b"", object)
    value = 0 if given["low"] is None else given["low"]
    if given["low_open"]:
        value += 1
    if given["high"] is not None:
        value = min(value, given["high"])
    return np.full(shape, value, dtype.as_numpy_dtype)


@dataclasses.dataclass(frozen=True)
class _Version:
    """State of a version; `model` is set while it is AVAILABLE."""

    state: str
    error_code: str = "OK"
    error_message: str = ""
    model: LoadedModel | None = None
    failed_files: list | None = None


class ModelVersions:
    """Loads and unloads versions of a model, and finds the one of a request.

    `sync` is called by one thread, the other methods by any.

    Args:
        name: Name of the model in the URLs.
        path: Directory of the version directories.
        options: See `Catalog`.
    """

    def __init__(self, name, path, options):
        # Version number by label. Labeled versions are loaded too.
        self.labels = {k: int(v) for n, k, v in options.label if n == name}
        self._name = name
        self._path = path
        self._options = options
        self._versions = {}

    def sync(self):
        """Load and unload versions to match the disk.

        Old versions are unloaded once the newest wanted one is available, so one can
        always answer. A version that failed to load is retried when its files change.
        """
        directories = version_directories(self._path)
        wanted = set(directories)
        if wanted and not self._options.all_versions:
            wanted &= {max(wanted), *self.labels.values()}
        for number in sorted(directories, reverse=True):
            # Others stand in if the newest is broken and the server has just started.
            if number in wanted or not self._loaded():
                self._load(number, directories[number])
        available = sorted(self._loaded())
        if wanted and max(wanted) not in available:
            wanted = wanted | set(available[-1:])
        self._unload(set(available) - wanted)

    def close(self):
        """Unload all versions."""
        self._unload(self._loaded())

    def find(self, version=None, label=None):
        """Return `(number, LoadedModel)` of a version, by default the newest.

        Args:
            version: Its number.
            label: Or its label.

        Raises:
            ServingError: If there is none, or it is not available.
        """
        asked = f"Latest({self._name})"
        if label is not None:
            if label not in self.labels:
                raise invalid(f"Unrecognized servable version label: {label}")
            version = self.labels[label]
        loaded = self._loaded()
        if version is None:
            version = max(loaded, default=None)
        else:
            asked = f"Specific({self._name}, {version})"
        if version not in loaded:
            raise ServingError(404, f"Servable not found for request: {asked}")
        return version, loaded[version]

    def states(self, version=None, label=None):
        """Return the states of one version or of all, as in TensorFlow Serving's JSON.

        Args:
            version: Number of the version.
            label: Or its label.

        Raises:
            ServingError: If there is no such label.
        """
        if label is not None:
            version, _ = self.find(label=label)
        return [
            {
                "version": str(number),
                "state": record.state,
                "status": {
                    "error_code": record.error_code,
                    "error_message": record.error_message,
                },
            }
            for number, record in sorted(self._versions.items(), reverse=True)
            if version in (None, number)
        ]

    def _loaded(self):
        """Return the `LoadedModel`s that are available by number."""
        return {n: r.model for n, r in self._versions.items() if r.model is not None}

    def _set(self, number, state, **details):
        # A new dict, since requests read the old one meanwhile.
        self._versions = {**self._versions, number: _Version(state, **details)}
        _log.info("%s version %d is %s", self._name, number, state)

    def _load(self, number, directory):
        """Load a version, unless it is loaded or failed with the same files."""
        record = self._versions.get(number, _Version("START"))
        if record.model is not None:
            return
        files = _files(directory)
        if files == record.failed_files:
            return
        self._set(number, "LOADING")
        try:
            model = LoadedModel(directory)
            if self._options.warm_up:
                self._warm_up(number, model)
            self._set(number, "AVAILABLE", model=model)
        except Exception as error:
            code: Any = getattr(error, "error_code", 2)  # UNKNOWN
            text = str(getattr(error, "message", error))
            self._set(
                number,
                "END",
                error_code=error_codes_pb2.Code.Name(code),
                error_message=text,
                failed_files=files,
            )
            _log.error("%s version %d: %s", self._name, number, text)

    def _warm_up(self, number, model):
        """Let the first requests for a version not be the slow ones."""
        _log.info(
            "%s version %d is warming up; --no-warm-up leaves that out",
            self._name,
            number,
        )
        start = time.monotonic()
        model.warm_up(self._options.max_concurrent, self._options.timeout)
        seconds = time.monotonic() - start
        _log.info("%s version %d is warm after %.0f s", self._name, number, seconds)

    def _unload(self, numbers):
        """Unload versions; requests in progress keep the version that they use."""
        for number in numbers:
            self._set(number, "END")
        if numbers:
            gc.collect()  # Graphs contain reference cycles.


def version_directories(path):
    """Return the paths of a model's version directories by number.

    Files, and names that are not plain integers of 63 bits, are ignored.
    """
    return {
        int(found.name): str(found)
        for found in pathlib.Path(path).glob("*")
        if VERSION.fullmatch(found.name) and int(found.name) < 2**63 and found.is_dir()
    }


def _what_it_is(base):
    """Return what a directory without models is instead, and what to do; or ""."""
    path = pathlib.Path(base).resolve()
    if version_directories(path):
        return f" {base} is a model itself: use --model {path.name}={base}."
    if (path / "model.keras").is_file():
        return (
            f" {base} is the folder of a training run; publish its model with "
            f"genimg-export {base}/model.keras --name {path.name} --base-dir served, "
            f"and serve that."
        )
    if not (path / "saved_model.pb").is_file():
        return ""
    if VERSION.fullmatch(path.name):
        model = path.parent
        return f" {base} is a version of a model: use --model {model.name}={model}."
    return (
        f" {base} is a SavedModel, which genimg-export {base} --name {path.name} "
        f"--base-dir served publishes."
    )


def _files(directory):
    """Return paths, sizes and times of a version's files, to detect changes."""
    found = []
    with contextlib.suppress(OSError):  # A file was deleted meanwhile.
        for path in sorted(pathlib.Path(directory).rglob("*")):
            stat = path.stat()
            found.append((str(path), stat.st_size, stat.st_mtime_ns))
    return found


class Catalog:
    """The served models, kept in step with the disk.

    Args:
        options: Options of `genimg-serve`: `base_dir` or `model`, `all_versions`,
            `label`, `poll_seconds`, `warm_up`, `max_concurrent` and `timeout`.

    Attributes:
        models: `ModelVersions` by name.
    """

    def __init__(self, options):
        self._options = options
        self.models = {}
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def start(self):
        """Load the models, then watch the disk in the background."""
        self._sync()
        for text in self._missing():
            seconds = self._options.poll_seconds
            _log.warning("%s Scanning again every %g s.", text, seconds)
        self._watcher.start()

    def stop(self):
        """Stop watching and unload all models."""
        self._stopped.set()
        self._watcher.join()
        for model in self.models.values():
            model.close()

    def _sync(self):
        """Scan the disk once; load new versions and unload old ones."""
        for name, path in self._find_models().items():
            if name not in self.models:
                model = ModelVersions(name, path, self._options)
                # A new dict, since requests read the old one meanwhile.
                self.models = {**self.models, name: model}
        for model in self.models.values():
            if self._stopped.is_set():
                return
            model.sync()

    def _find_models(self):
        """Return the paths of the models by name."""
        if self._options.model:
            return dict(self._options.model)
        base = pathlib.Path(self._options.base_dir)
        return {
            path.name: path
            for path in sorted(base.iterdir())
            if not re.search(r"^\.|:", path.name) and version_directories(path)
        }

    def _missing(self):
        """Return texts about directories without models, and what they should hold."""
        base = self._options.base_dir
        if base is not None:
            if self.models:
                return []
            text = f"There are no models in {base}. Expected: {base}/NAME/VERSION/"
            text += f"saved_model.pb, such as {base}/digits/1/saved_model.pb, as "
            text += "genimg-export writes it."
            return [text + _what_it_is(base)]
        texts = []
        for name, path in self._options.model:
            if not version_directories(path):
                text = f"There are no versions of {name} in {path}. Expected: {path}/"
                text += f"VERSION/saved_model.pb, such as {path}/1/saved_model.pb."
                texts.append(text)
        return texts

    def _watch(self):
        failure = None
        while not self._stopped.wait(self._options.poll_seconds):
            try:
                self._sync()
                failure = None
            except Exception as error:  # Loaded models keep serving.
                if str(error) != failure:
                    failure = str(error)
                    _log.error("cannot scan for new versions: %s", failure)
