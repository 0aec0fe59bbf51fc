"""Losses and metrics of generative models."""

from keras_genimg.training.bits_per_dim import BitsPerDim
from keras_genimg.training.negative_log_likelihood import NegativeLogLikelihood

__all__ = ["BitsPerDim", "NegativeLogLikelihood"]
