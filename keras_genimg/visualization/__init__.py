"""Pictures of images, side by side under titles, and of what a pixel depends on."""

from keras_genimg.visualization.comparison import save_comparison
from keras_genimg.visualization.dependency_field import (
    dependency_field,
    save_dependency_fields,
)
from keras_genimg.visualization.grid import image_grid, save_grid

__all__ = [
    "dependency_field",
    "image_grid",
    "save_comparison",
    "save_dependency_fields",
    "save_grid",
]
