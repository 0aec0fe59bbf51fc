"""Settings of models by name, how they are trained, and trained weights."""

from genimg_export.preset_names import find_preset
from keras_genimg.presets.preset import Preset, Recipe
from keras_genimg.presets.settings import FAMILIES
from keras_genimg.presets.weights import (
    load_weights,
    presets_with_weights,
    read_card,
    write_weights,
)

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


def __dir__():
    return __all__
