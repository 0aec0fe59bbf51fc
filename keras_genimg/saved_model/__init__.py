"""SavedModels that can be served without this library installed."""

from keras_genimg.saved_model.endpoint import Endpoint
from keras_genimg.saved_model.input import Input
from keras_genimg.saved_model.metadata import read_metadata
from keras_genimg.saved_model.writing import write_saved_model

__all__ = ["Endpoint", "Input", "read_metadata", "write_saved_model"]
