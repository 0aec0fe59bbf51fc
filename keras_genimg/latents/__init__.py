"""Families of distributions over latent vectors."""

from keras_genimg.latents.families import (
    DiagonalNormal,
    FullNormal,
    Laplace,
    LatentFamily,
    get,
)

__all__ = ["DiagonalNormal", "FullNormal", "Laplace", "LatentFamily", "get"]


def __dir__():
    return __all__
