"""Callbacks for `model.fit`."""

from keras_genimg.callbacks.resume import Resume
from keras_genimg.callbacks.sample_grid import SampleGrid

__all__ = ["Resume", "SampleGrid"]
