"""Recurrent and autoregressive image generation with Keras 3.

    import keras_genimg as kg

    layer = kg.layers.DiagonalBiLSTM(16)

Importing the library registers every class that a `.keras` file may name.
"""

from keras_genimg import (
    backend_check,  # noqa: F401  First.
    callbacks,
    causality,
    datasets,
    latents,
    layers,
    likelihoods,
    losses,
    metrics,
    models,
    networks,
    ops,
    presets,
    sampling,
    serving,
    visualization,
)
from keras_genimg.version import __version__

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


def __dir__():
    return __all__
