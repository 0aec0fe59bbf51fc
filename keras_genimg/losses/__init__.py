"""Losses of images."""

from keras_genimg.losses.negative_log_likelihood import NegativeLogLikelihood

__all__ = ["NegativeLogLikelihood"]


def __dir__():
    return __all__
