"""Callbacks for `model.fit`."""

from keras_genimg.callbacks.resume import Resume

__all__ = ["Resume"]
