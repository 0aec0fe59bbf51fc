"""Finished models on a server: signatures, SavedModels, publishing and checks."""

import importlib
from typing import TYPE_CHECKING

from keras_genimg.serving.endpoint import Endpoint, Input
from keras_genimg.serving.saved_model import write_saved_model

if TYPE_CHECKING:
    from genimg_export.metadata import read_metadata
    from genimg_export.publishing import publish
    from genimg_export.verifying import VerificationError, verify
    from genimg_export.warmup import write_warmup

# The exporter, a package that builds on this one, is imported when it is first used.
_EXPORTER = {
    "VerificationError": "verifying",
    "publish": "publishing",
    "read_metadata": "metadata",
    "verify": "verifying",
    "write_warmup": "warmup",
}

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


def __getattr__(name):
    if name not in _EXPORTER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"genimg_export.{_EXPORTER[name]}"), name)


def __dir__():
    return __all__
