"""Functional-API models for image generation."""

from keras_genimg.models.autoregressive_model import AutoregressiveModel
from keras_genimg.models.draw import DRAW
from keras_genimg.models.gated_pixel_cnn import GatedPixelCNN
from keras_genimg.models.generative_model import GenerativeModel
from keras_genimg.models.latent_model import LatentModel
from keras_genimg.models.multi_scale_pixel_rnn import MultiScalePixelRNN
from keras_genimg.models.pixel_cnn import PixelCNN
from keras_genimg.models.pixel_rnn import PixelRNN
from keras_genimg.models.vae import VAE

__all__ = [
    "DRAW",
    "AutoregressiveModel",
    "GatedPixelCNN",
    "GenerativeModel",
    "LatentModel",
    "MultiScalePixelRNN",
    "PixelCNN",
    "PixelRNN",
    "VAE",
]


def __dir__():
    return __all__
