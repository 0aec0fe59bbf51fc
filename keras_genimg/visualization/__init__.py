"""Pictures of images and models: grids, canvases, latents, dependency fields."""

from keras_genimg.visualization.glimpses import (
    attention_box,
    save_canvases,
    save_kl_per_step,
)
from keras_genimg.visualization.grid import (
    image_grid,
    save_comparison,
    save_dependency_fields,
    save_grid,
)
from keras_genimg.visualization.manifold import latent_manifold

__all__ = [
    "attention_box",
    "image_grid",
    "latent_manifold",
    "save_canvases",
    "save_comparison",
    "save_dependency_fields",
    "save_grid",
    "save_kl_per_step",
]


def __dir__():
    return __all__
