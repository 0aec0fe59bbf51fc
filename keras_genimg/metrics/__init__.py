"""Metrics of images."""

from keras_genimg.metrics.bits_per_dim import BitsPerDim

__all__ = ["BitsPerDim"]


def __dir__():
    return __all__
