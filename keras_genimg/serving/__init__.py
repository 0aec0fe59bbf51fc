"""Finished models on a server: signatures, SavedModels, publishing and checks."""

from keras_genimg.serving.endpoint import Endpoint, Input
from keras_genimg.serving.publishing import publish
from keras_genimg.serving.saved_model import read_metadata, write_saved_model
from keras_genimg.serving.verifying import VerificationError, verify
from keras_genimg.serving.warmup import write_warmup

__all__ = [
    "Endpoint",
    "Input",
    "VerificationError",
    "publish",
    "read_metadata",
    "verify",
    "write_saved_model",
    "write_warmup",
]


def __dir__():
    return __all__
