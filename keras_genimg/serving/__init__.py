"""Finished models on a server: signatures, SavedModels, publishing and checks."""

from genimg_export.metadata import read_metadata
from genimg_export.publishing import publish
from genimg_export.verifying import VerificationError, verify
from genimg_export.warmup import write_warmup
from keras_genimg.serving.endpoint import Endpoint, Input
from keras_genimg.serving.saved_model import write_saved_model

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
