"""Settings of models by name, how they are trained, and trained weights."""

from typing import TYPE_CHECKING

from keras_genimg.presets.preset import Preset, Recipe
from keras_genimg.presets.settings import FAMILIES
from keras_genimg.presets.weights import (
    load_weights,
    presets_with_weights,
    read_card,
    write_weights,
)

if TYPE_CHECKING:
    from genimg_export.preset_names import find_preset

__all__ = [
    "FAMILIES",
    "Preset",
    "Recipe",
    "find_preset",
    "load_weights",
    "presets_with_weights",
    "read_card",
    "write_weights",
]


def __getattr__(name):
    if name == "find_preset":  # Commands call it before they import TensorFlow.
        from genimg_export.preset_names import find_preset

        return find_preset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
