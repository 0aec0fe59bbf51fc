"""Families of distributions over latent vectors."""

from keras_genimg.latents.diagonal_normal import DiagonalNormal
from keras_genimg.latents.full_normal import FullNormal
from keras_genimg.latents.laplace import Laplace
from keras_genimg.latents.latent_family import LatentFamily
from keras_genimg.latents.registry import get

__all__ = ["DiagonalNormal", "FullNormal", "Laplace", "LatentFamily", "get"]
