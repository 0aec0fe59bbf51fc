"""Pictures of reconstructions while a model trains."""

import pathlib
from typing import Any

import numpy as np

from keras_genimg.callbacks.epoch_pictures import EpochPictures
from keras_genimg.inputs.images import images_of
from keras_genimg.models import LatentModel
from keras_genimg.ops.checks import check_int
from keras_genimg.types import PathLike
from keras_genimg.visualization.grid import image_grid, save_picture

_GAP = 24  # Between the two grids, in pixels of the picture.


class Reconstructions(EpochPictures):
    """Reconstruct the same images after every few epochs.

    Writes `epoch_0001.png`, `epoch_0002.png` and so on: a grid of the images, and on
    its right a grid of their reconstructions by a VAE or DRAW. The latent variables are
    drawn with the same seeds each time. Of several workers only the first one writes.

    Args:
        directory: Directory of the pictures, made if there is none.
        images: Images in the likelihood's own range, an array of shape `(images,
            height, width, colors)`. A model with conditions takes a list or a dict of
            all its inputs.
        every: Number of epochs between two pictures.
        seed: Integer seed of the first image; the next images have the seeds that
            follow.
        columns: Number of columns of each grid; by default about a square.
        scale: Size of a pixel in the picture.
        log_dir: Directory of TensorBoard's logs, to show the pictures there too.

    Raises:
        ImportError: If `log_dir` is given and TensorBoard is not installed.
        ValueError: If an argument is not as described. From `fit`, if the shape or a
            pixel of the images does not fit the model.
        TypeError: From `fit` of a model without latent variables.

    Example:
        >>> pictures = Reconstructions("outputs/reconstructed", test[:16], every=5)
        >>> model.fit(images, epochs=10, callbacks=[pictures])
    """

    family = LatentModel
    log_name = "reconstructions"

    def __init__(
        self,
        directory: PathLike,
        images: Any,
        every: int = 1,
        *,
        seed: int = 0,
        columns: int | None = None,
        scale: int = 2,
        log_dir: PathLike | None = None,
    ):
        super().__init__(
            directory, every, columns=columns, scale=scale, log_dir=log_dir
        )
        self.images = images
        self.seed = check_int("seed", seed, type(self).__name__, smallest=0)

    def write(self, path: pathlib.Path) -> np.ndarray:
        drawn = self.model.reconstruct(self.images, seed=self.seed, verbose=0)
        display = self.model.likelihood.to_display
        grids = np.stack(
            [
                image_grid(display(images), self.columns, scale=self.scale)
                for images in (images_of(self.images, self.model), drawn)
            ]
        )
        grids = grids.reshape(*grids.shape[:3], -1)  # With an axis for colors.
        picture = image_grid(grids, columns=2, padding=_GAP)
        save_picture(path, picture)
        return picture
