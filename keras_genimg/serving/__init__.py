"""Publishing, verification and warm-up of finished models."""

from keras_genimg.saved_model import read_metadata
from keras_genimg.serving.publishing import publish
from keras_genimg.serving.verification.report import VerificationError
from keras_genimg.serving.verifying import verify
from keras_genimg.serving.warmup import write_warmup

__all__ = [
    "VerificationError",
    "publish",
    "read_metadata",
    "verify",
    "write_warmup",
]
