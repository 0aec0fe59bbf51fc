"""Pictures of samples while a model trains."""

import pathlib
from typing import Any

import numpy as np

from keras_genimg.callbacks.epoch_pictures import EpochPictures
from keras_genimg.inputs.calls import image_seeds
from keras_genimg.inputs.images import condition_arrays, sized_image_shape
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.types import Conditions, PathLike, Seeds, Shape
from keras_genimg.visualization.grid import image_grid, save_picture


class SampleGrid(EpochPictures):
    """Draw images after every few epochs, always with the same seeds.

    Writes `epoch_0001.png`, `epoch_0002.png` and so on: grids of samples. Images of the
    same seeds show how the model changes. Of several workers only the first one writes.

    Args:
        directory: Directory of the pictures, made if there is none.
        num_images: Number of images in a picture.
        every: Number of epochs between two pictures.
        seed: Seed of the first image; the next images have the seeds that follow. Or
            one integer for each image.
        conditions: Conditions of the images, see the model's `generate`: an array of
            shape `(num_images, ...)`, or a dict of such arrays.
        image_size: `(height, width)` of the images, for a model of any size.
        columns: Number of columns of the picture; by default about a square.
        scale: Size of a pixel in the picture.
        log_dir: Directory of TensorBoard's logs, to show the pictures there too.

    Raises:
        ImportError: If `log_dir` is given and TensorBoard is not installed.
        ValueError: If an argument is not as described. From `fit`, if the model cannot
            draw with the seed, the conditions or the size, which one image shows before
            the first epoch.
        TypeError: From `fit` of a model that is not one of `keras_genimg.models`.

    Example:
        >>> model.fit(images, epochs=10, callbacks=[SampleGrid("outputs/grids")])
    """

    log_name = "samples"

    def __init__(
        self,
        directory: PathLike,
        num_images: int = 64,
        every: int = 1,
        *,
        seed: Seeds = 0,
        conditions: Conditions | None = None,
        image_size: Shape | None = None,
        columns: int | None = None,
        scale: int = 2,
        log_dir: PathLike | None = None,
    ):
        super().__init__(
            directory, every, columns=columns, scale=scale, log_dir=log_dir
        )
        owner = type(self).__name__
        self.num_images = check_positive_int("num_images", num_images, owner)
        self.seed = seed
        self.conditions = conditions
        self.image_size = image_size

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        model = self.model
        shape = sized_image_shape(model, self.image_size, type(self).__name__)
        seeds = image_seeds(self.num_images, self.seed)
        arrays = condition_arrays(model, self.conditions, self.num_images, shape)
        # Some models can be trained but not sampled.
        pairs = zip(model.inputs[1:], arrays, strict=True)
        first = {tensor.name: array[:1] for tensor, array in pairs}
        self._draw(1, seeds[:1], first or None)

    def write(self, path: pathlib.Path) -> np.ndarray:
        drawn = self._draw(self.num_images, self.seed, self.conditions)
        images = self.model.likelihood.to_display(drawn)
        grid = image_grid(images, self.columns, scale=self.scale)
        save_picture(path, grid)
        return grid

    def _draw(self, num_images, seed, conditions):
        options = {"conditions": conditions, "image_size": self.image_size}
        given = {name: value for name, value in options.items() if value is not None}
        return self.model.generate(num_images, seed=seed, verbose=0, **given)
