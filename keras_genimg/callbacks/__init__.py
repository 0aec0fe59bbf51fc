"""Callbacks for `model.fit`."""

from keras_genimg.callbacks.canvas_animation import CanvasAnimation
from keras_genimg.callbacks.reconstructions import Reconstructions
from keras_genimg.callbacks.resume import Resume
from keras_genimg.callbacks.sample_grid import SampleGrid

__all__ = ["CanvasAnimation", "Reconstructions", "Resume", "SampleGrid"]


def __dir__():
    return __all__
