"""Image data sets as `tf.data` pipelines of known length."""

from keras_genimg.datasets.canvases import cluttered_digits, two_digits
from keras_genimg.datasets.epochs import Epochs
from keras_genimg.datasets.loading import as_array, from_arrays, load
from keras_genimg.datasets.readers import READERS

__all__ = [
    "READERS",
    "Epochs",
    "as_array",
    "cluttered_digits",
    "from_arrays",
    "load",
    "two_digits",
]


def __dir__():
    return __all__
