"""Image data sets as `tf.data` pipelines of known length."""

from keras_genimg.datasets.arrays import as_array
from keras_genimg.datasets.clutter import cluttered_digits
from keras_genimg.datasets.digit_pairs import two_digits
from keras_genimg.datasets.epochs import Epochs
from keras_genimg.datasets.loading import load

__all__ = ["Epochs", "as_array", "cluttered_digits", "load", "two_digits"]
