"""Callbacks for `model.fit`."""

from keras_genimg.callbacks.epoch_pictures import (
    CanvasAnimation,
    Reconstructions,
    SampleGrid,
)
from keras_genimg.callbacks.resume import Resume

__all__ = ["CanvasAnimation", "Reconstructions", "Resume", "SampleGrid"]


def __dir__():
    return __all__
