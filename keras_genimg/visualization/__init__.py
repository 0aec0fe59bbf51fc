"""Pictures of images: grids, and titled comparisons of grids."""

from keras_genimg.visualization.comparison import save_comparison
from keras_genimg.visualization.grid import image_grid, save_grid

__all__ = ["image_grid", "save_comparison", "save_grid"]
