"""Networks as functions of symbolic tensors."""

from keras_genimg.networks.pixel_stacks import (
    condition_input,
    gated_pixel_stack,
    likelihood_head,
    pixel_stack,
)
from keras_genimg.networks.vae_networks import normal_weights, vae_decoder, vae_encoder

__all__ = [
    "condition_input",
    "gated_pixel_stack",
    "likelihood_head",
    "normal_weights",
    "pixel_stack",
    "vae_decoder",
    "vae_encoder",
]


def __dir__():
    return __all__
