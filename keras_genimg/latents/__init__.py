"""Families of distributions over latent vectors."""

from keras_genimg.latents.diagonal_normal import DiagonalNormal
from keras_genimg.latents.full_normal import FullNormal
from keras_genimg.latents.laplace import Laplace
from keras_genimg.latents.latent_family import LatentFamily
from keras_genimg.ops.configurable import from_identifier
from keras_genimg.types import Config

__all__ = ["DiagonalNormal", "FullNormal", "Laplace", "LatentFamily", "get"]

_BY_NAME = {
    "diagonal_normal": DiagonalNormal,
    "full_normal": FullNormal,
    "laplace": Laplace,
}


def get(identifier: str | Config | LatentFamily) -> LatentFamily:
    """Return a family of latent distributions by name, config or object.

    Args:
        identifier: `"diagonal_normal"`, `"full_normal"`, `"laplace"`, the config of a
            serialized family, or a `LatentFamily`.

    Raises:
        ValueError: If it is none of these.
    """
    return from_identifier("family", identifier, LatentFamily, _BY_NAME)


def __dir__():
    return __all__
