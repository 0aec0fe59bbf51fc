"""Files with the state of a training run, and the run that they belong to."""

import json
import pathlib
import re
import warnings
import zipfile
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_genimg.files import atomic_path, sync

# The last complete file and the one before it.
NUM_KEPT = 2
_NAME = re.compile(r"state-(\d+)-(\d+)\.npz")
# Keras numbers the names of layers and models in the order of their making, and a class
# may be in another file in a later version.
_NOT_COMPARED = ("name", "keras_history", "registered_name", "build_config", "module")


class RunState(NamedTuple):
    """The state of a training run between two batches.

    Attributes:
        epoch: Number of the epoch that the next batch belongs to.
        position: Index of that batch in its epoch.
        history: Dict of lists by name of metric, as `History` has it.
        run: Description of the run, JSON values.
        values: Arrays, one for each variable.
    """

    epoch: int
    position: int
    history: dict[str, list[float]]
    run: dict[str, Any]
    values: list[np.ndarray]


def save_state(directory: pathlib.Path, state: RunState) -> None:
    """Write a state; remove all but the last files.

    A file appears under its name when it is complete and on the disk.
    """
    about = json.dumps([state.epoch, state.position, state.history, state.run])
    arrays = {f"{i}": value for i, value in enumerate(state.values)}
    path = directory / f"state-{state.epoch:06d}-{state.position:09d}.npz"
    with atomic_path(path) as unfinished:
        with open(unfinished, "wb") as opened:
            np.savez(opened, about=np.frombuffer(about.encode(), np.uint8), **arrays)
        sync(unfinished)
    sync(directory)
    for old in _files(directory)[NUM_KEPT:]:
        old.unlink(missing_ok=True)


def load_state(directory: pathlib.Path) -> RunState | None:
    """Return the last state that can be read, or None if there is none.

    Warns of files that cannot be read, such as those a full disk has cut off.
    """
    for path in _files(directory):
        try:
            with open(path, "rb") as opened, np.load(opened) as stored:
                about = json.loads(stored["about"].tobytes())
                values = [stored[f"{i}"] for i in range(len(stored.files) - 1)]
            return RunState(*about, values)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            warnings.warn(
                f"{path} cannot be read, so training continues from an earlier state, "
                f"or from the beginning if there is none: {error}",
                stacklevel=2,
            )
    return None


def _files(directory):
    """Return the paths of the states, the last one first."""
    found = []
    for path in directory.iterdir():
        match = _NAME.fullmatch(path.name)
        if match:
            found.append(((int(match[1]), int(match[2])), path))
    return [path for _, path in sorted(found, reverse=True)]


def describe_run(model, data):
    """Return a description that is equal for the same model, optimizer and data.

    Args:
        model: A compiled model.
        data: Description of the training data, JSON values.
    """
    return {
        "model": {
            "config": _plain(keras.saving.serialize_keras_object(model)["config"]),
            "variables": [[*v.shape, str(v.dtype)] for v in model.variables],
        },
        "optimizer": _plain(keras.saving.serialize_keras_object(model.optimizer)),
        "steps_per_execution": model.steps_per_execution,
        **_plain(data),
    }


def check_same_run(saved, now, directory):
    """Raise unless two descriptions are equal, and name what differs.

    Raises:
        ValueError: If they differ.
    """
    for key, value in _plain(saved).items():
        if value == now.get(key):
            continue
        was, is_now = _first_difference(value, now.get(key))
        raise ValueError(
            f"Resume found another {key.replace('_', ' ')} in {directory} than that of "
            f"this run, so training cannot continue exactly. Use another directory, or "
            f"remove this one to start again. Saved: {was}. Received: {is_now}"
        )


def _first_difference(saved, now, path=""):
    """Return two texts: where the values differ first, as saved and now."""
    if isinstance(saved, dict) and isinstance(now, dict):
        for key in [*saved, *now]:
            if saved.get(key) != now.get(key):
                return _first_difference(
                    saved.get(key), now.get(key), f"{path}.{key}" if path else key
                )
    label = f"{path}=" if path else ""
    return f"{label}{saved!r}"[:200], f"{label}{now!r}"[:200]


def _plain(config):
    """Return a config as JSON values, without names that tell no models apart."""

    def without_names(value):
        return {key: item for key, item in value.items() if key not in _NOT_COMPARED}

    return json.loads(json.dumps(config, default=str), object_hook=without_names)
