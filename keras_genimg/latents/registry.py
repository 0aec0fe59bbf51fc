"""Families of latent distributions by name."""

import keras

from keras_genimg.latents.diagonal_normal import DiagonalNormal
from keras_genimg.latents.full_normal import FullNormal
from keras_genimg.latents.laplace import Laplace
from keras_genimg.latents.latent_family import LatentFamily

_BY_NAME = {
    "diagonal_normal": DiagonalNormal,
    "full_normal": FullNormal,
    "laplace": Laplace,
}


def get(identifier):
    """Return a family of latent distributions by name, config or object.

    Args:
        identifier: `"diagonal_normal"`, `"full_normal"`, `"laplace"`, the config of a
            serialized family, or a `LatentFamily`.

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(identifier, LatentFamily):
        return identifier
    if isinstance(identifier, str) and identifier in _BY_NAME:
        return _BY_NAME[identifier]()
    if isinstance(identifier, dict):
        return keras.saving.deserialize_keras_object(identifier)
    raise ValueError(
        f"A family of latent distributions must be one of "
        f"{', '.join(map(repr, _BY_NAME))}, or an object such as DiagonalNormal(). "
        f"Received: {identifier!r}"
    )
