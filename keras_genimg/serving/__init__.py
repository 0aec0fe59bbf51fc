"""What a trained model offers to a server."""

from keras_genimg.serving.autoregressive import autoregressive_endpoints
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.serving.inputs import Input
from keras_genimg.serving.latent import (
    draw_endpoints,
    latent_endpoints,
    vae_endpoints,
)
from keras_genimg.serving.metadata import read_metadata
from keras_genimg.serving.publish import publish
from keras_genimg.serving.saved_model import write_saved_model
from keras_genimg.serving.verification.report import VerificationError
from keras_genimg.serving.verify import verify
from keras_genimg.serving.warmup import write_warmup

__all__ = [
    "Endpoint",
    "Input",
    "VerificationError",
    "autoregressive_endpoints",
    "draw_endpoints",
    "latent_endpoints",
    "publish",
    "read_metadata",
    "vae_endpoints",
    "verify",
    "write_saved_model",
    "write_warmup",
]
