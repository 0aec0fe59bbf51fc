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
from keras_genimg.serving.saved_model import write_saved_model

__all__ = [
    "Endpoint",
    "Input",
    "autoregressive_endpoints",
    "draw_endpoints",
    "latent_endpoints",
    "read_metadata",
    "vae_endpoints",
    "write_saved_model",
]
