"""Trained weights of presets, which the package contains."""

import json
import pathlib
from typing import Any

import keras
import numpy as np

from genimg_export.files import atomic_path

FOLDER = pathlib.Path(__file__).with_name("trained")


def presets_with_weights(owner: str) -> list[str]:
    """Return the names of the presets of a class that have weights.

    Args:
        owner: Name of the class.
    """
    files = sorted(FOLDER.glob(f"{owner}-*.npz"))
    return [file.stem.removeprefix(f"{owner}-") for file in files]


def read_card(owner: str, name: str) -> dict[str, Any]:
    """Return how the weights of a preset were trained, and what they reach.

    Args:
        owner: Name of the class.
        name: Name of the preset.
    """
    return json.loads((FOLDER / f"{owner}-{name}.json").read_text())


def write_weights(
    folder: pathlib.Path, owner: str, name: str, weights: list[np.ndarray]
) -> pathlib.Path:
    """Write weights in half precision, compressed.

    Args:
        folder: Existing directory.
        owner: Name of the class.
        name: Name of the preset.
        weights: Weights in the order of the model.

    Returns:
        Path of the file.

    Raises:
        ValueError: If a weight does not fit half precision.
    """
    largest = np.finfo("float16").max
    for index, array in enumerate(weights):
        if not (np.abs(array) <= largest).all():
            raise ValueError(
                f"Weights must be at most {largest} to be stored in half precision. "
                f"Received: weight {index} of {owner} {name} with another one"
            )
    halves = [np.asarray(array, "float16") for array in weights]
    path = folder / f"{owner}-{name}.npz"
    with atomic_path(path) as unfinished, open(unfinished, "wb") as opened:
        np.savez_compressed(opened, *halves)
    return path


def load_weights(model: keras.Model, owner: str, name: str) -> None:
    """Load the weights of a preset.

    Args:
        model: Model with the settings of the preset.
        owner: Name of its class.
        name: Name of the preset.

    Raises:
        ValueError: If the preset has no weights, or the model has other shapes.
    """
    path = FOLDER / f"{owner}-{name}.npz"
    if not path.is_file():
        known = presets_with_weights(owner)
        raise ValueError(
            f"{owner} {name!r} has no trained weights. Presets of {owner} that have: "
            f"{', '.join(known) or 'none'}. Received: weights=True"
        )
    with np.load(path) as file:
        arrays = [file[key].astype("float32") for key in file.files]
    try:
        model.set_weights(arrays)
    except ValueError as error:
        raise ValueError(
            f"The trained weights of {owner} {name!r} do not fit a model with other "
            f"settings. Leave out what changes a shape, or `weights`. Received: {error}"
        ) from error
