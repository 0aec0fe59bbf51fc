"""What makes two training runs the same, as JSON values."""

import json
import zlib

import keras
import numpy as np
import tensorflow as tf

# Keras numbers the names of layers and models in the order of their making.
_NAMES = ("name", "keras_history", "registered_name", "build_config")


def describe_run(model, data):
    """Return a description that is equal for the same model, optimizer and data.

    Args:
        model: A compiled model.
        data: Description of the training data, see `TrainingData`.
    """
    return {
        "model": {
            "config": _plain(keras.saving.serialize_keras_object(model)["config"]),
            "variables": [[*v.shape, str(v.dtype)] for v in model.variables],
        },
        "optimizer": _plain(keras.saving.serialize_keras_object(model.optimizer)),
        **_plain(data),
    }


def describe_arrays(arrays):
    """Return shape, dtype and checksum of each array in a structure."""
    flat = [np.ascontiguousarray(array) for array in tf.nest.flatten(arrays)]
    return {"arrays": [[list(a.shape), a.dtype.name, zlib.crc32(a.data)] for a in flat]}


def check_same_run(saved, now, directory):
    """Raise unless two descriptions are equal, and name what differs.

    Raises:
        ValueError: If they differ.
    """
    for key, value in saved.items():
        if value == now.get(key):
            continue
        was, is_now = _first_difference(value, now.get(key))
        raise ValueError(
            f"Resume found another {key.replace('_', ' ')} in {directory} than that of "
            f"this run, so training cannot go on exactly. Use another directory, or "
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
    """Return a config as JSON values, without names that count instances."""
    return json.loads(json.dumps(_without_names(config), default=str))


def _without_names(value):
    if isinstance(value, dict):
        return {k: _without_names(v) for k, v in value.items() if k not in _NAMES}
    if isinstance(value, (list, tuple)):
        return [_without_names(item) for item in value]
    return value
