"""Families of distributions of latent vectors."""

from keras_genimg.latents.diagonal_normal import DiagonalNormal
from keras_genimg.latents.family import LatentFamily, get
from keras_genimg.latents.full_normal import FullNormal
from keras_genimg.latents.laplace import Laplace

__all__ = ["DiagonalNormal", "FullNormal", "Laplace", "LatentFamily", "get"]
