"""Recurrent and autoregressive image generation with Keras 3.

    import keras_genimg as kg

    layer = kg.layers.DiagonalBiLSTM(16)

Importing the library registers every class that a `.keras` file may name. Packages
that only some scripts use, such as `kg.datasets`, are imported when they are touched.
"""

import importlib
from typing import TYPE_CHECKING

from keras_genimg import (
    backend_check,  # noqa: F401  First.
    latents,
    layers,
    likelihoods,
    losses,
    metrics,
    models,
)
from keras_genimg.version import __version__

if TYPE_CHECKING:
    from keras_genimg import (
        callbacks,
        causality,
        datasets,
        networks,
        ops,
        presets,
        sampling,
        serving,
        visualization,
    )

__all__ = [
    "__version__",
    "callbacks",
    "causality",
    "datasets",
    "latents",
    "layers",
    "likelihoods",
    "losses",
    "metrics",
    "models",
    "networks",
    "ops",
    "presets",
    "sampling",
    "serving",
    "visualization",
]


def __getattr__(name):
    if name in __all__:
        return importlib.import_module(f"keras_genimg.{name}")
    raise AttributeError(f"module 'keras_genimg' has no attribute {name!r}")


def __dir__():
    return __all__
