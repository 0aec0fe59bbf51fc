"""Checks of arguments, with errors that show the received value."""

import numbers
import pathlib


def check_int(name, value, owner, smallest=1):
    """Return `value` as an `int`, or raise if it is not an integer in range.

    Args:
        name: Name of the argument, for the error text.
        value: Value received.
        owner: Name of the function that takes the argument, for the error text.
        smallest: Smallest value allowed.

    Raises:
        ValueError: If `value` is not an integer of at least `smallest`.
    """
    is_int = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_int or value < smallest:
        raise ValueError(
            f"`{name}` of {owner} must be an integer of at least {smallest}. "
            f"Received: {name}={value!r}"
        )
    return int(value)


def check_model_path(path):
    """Refuse a folder that holds no model, such as that of a training run.

    Args:
        path: Path of a model.

    Raises:
        ValueError: If it is a folder, and neither a SavedModel nor an unzipped `.keras`
            file.
    """
    path = pathlib.Path(path)
    # The latter is in an unzipped `.keras` file. A run has a config.json, as that has.
    files = ("saved_model.pb", "metadata.json")
    if path.is_dir() and not any((path / name).is_file() for name in files):
        trained = path / "model.keras"
        question = f" Did you mean {trained}?" if trained.is_file() else ""
        raise ValueError(
            f"A model is a `.keras` file, or a SavedModel, which is a folder with "
            f"saved_model.pb. Received: {path}, a folder without it.{question}"
        )
