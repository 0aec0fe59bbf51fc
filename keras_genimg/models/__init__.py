"""Functional-API models for image generation."""

from keras_genimg.models.autoregressive_model import AutoregressiveModel
from keras_genimg.models.draw import DRAW
from keras_genimg.models.generative_model import GenerativeModel
from keras_genimg.models.latent_model import LatentModel
from keras_genimg.models.multi_scale_pixel_rnn import MultiScalePixelRNN
from keras_genimg.models.oriented_model import OrientedModel
from keras_genimg.models.pixel_networks import GatedPixelCNN, PixelCNN, PixelRNN
from keras_genimg.models.vae import VAE

__all__ = [
    "DRAW",
    "AutoregressiveModel",
    "GatedPixelCNN",
    "GenerativeModel",
    "LatentModel",
    "MultiScalePixelRNN",
    "OrientedModel",
    "PixelCNN",
    "PixelRNN",
    "VAE",
]


def __dir__():
    return __all__
