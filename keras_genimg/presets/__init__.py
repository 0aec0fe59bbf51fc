"""Settings of models by name, how they are trained, and trained weights."""

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
    "load_weights",
    "presets_with_weights",
    "read_card",
    "write_weights",
]


def __dir__():
    return __all__
