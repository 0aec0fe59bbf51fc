"""Files with the state of a training run."""

import json
import pathlib
import re
import warnings
import zipfile
from typing import Any, NamedTuple

import numpy as np

from keras_genimg.files import atomic_path, sync

# The last complete file and the one before it.
NUM_KEPT = 2
_NAME = re.compile(r"state-(\d+)-(\d+)\.npz")


class RunState(NamedTuple):
    """The state of a training run between two batches.

    Attributes:
        epoch: Number of the epoch that the next batch belongs to.
        position: Index of that batch in its epoch.
        history: Dict of lists by name of metric, as `History` has it, and the numbers
            of its epochs under `"epoch"`.
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
                f"{path} cannot be read, so training goes on from an earlier state, or "
                f"from the beginning if there is none: {error}",
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
