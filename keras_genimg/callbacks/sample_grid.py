"""Pictures of samples while a model trains."""

import importlib.util
import pathlib
from typing import Any

import keras
import tensorflow as tf

from keras_genimg.extras import install_hint
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.types import Conditions, PathLike
from keras_genimg.visualization import image_grid, save_grid


class SampleGrid(keras.callbacks.Callback):
    """Draw images after every few epochs, always with the same seeds.

    Writes `epoch_0001.png`, `epoch_0002.png` and so on. Images of the same seeds show
    how the model changes.

    Args:
        directory: Directory of the pictures, made if there is none.
        num_images: Number of images in a picture.
        every: Number of epochs between two pictures.
        seed: Seed of the first image; the next images have the seeds that follow.
        conditions: Conditions of the images, see the model's `generate`.
        columns: Number of columns of the picture; by default about a square.
        scale: Size of a pixel in the picture.
        log_dir: Directory of TensorBoard's logs, to show the pictures there too.

    Raises:
        ImportError: If `log_dir` is given and TensorBoard is not installed.
        ValueError: If an argument is not as described.

    Example:
        >>> model.fit(images, epochs=10, callbacks=[SampleGrid("outputs/grids")])
    """

    def __init__(
        self,
        directory: PathLike,
        num_images: int = 64,
        every: int = 1,
        *,
        seed: int = 0,
        conditions: Conditions | None = None,
        columns: int | None = None,
        scale: int = 2,
        log_dir: PathLike | None = None,
    ):
        super().__init__()
        owner = type(self).__name__
        self.directory = pathlib.Path(directory)
        self.num_images = check_positive_int("num_images", num_images, owner)
        self.every = check_positive_int("every", every, owner)
        self.seed = seed
        self.conditions = conditions
        self.columns = columns
        self.scale = check_positive_int("scale", scale, owner)
        self._writer = None
        if log_dir is not None:
            if importlib.util.find_spec("tensorboard") is None:
                raise ImportError(
                    f"`log_dir` of SampleGrid needs TensorBoard: "
                    f"{install_hint('tensorboard')}"
                )
            self._writer = tf.summary.create_file_writer(str(log_dir))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if (epoch + 1) % self.every:
            return
        options = {} if self.conditions is None else {"conditions": self.conditions}
        drawn = self.model.generate(
            self.num_images, seed=self.seed, verbose=0, **options
        )
        images = self.model.likelihood.to_display(drawn)
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"epoch_{epoch + 1:04d}.png"
        save_grid(path, images, self.columns, scale=self.scale)
        if self._writer is not None:
            grid = image_grid(images, self.columns, scale=self.scale)
            grid = grid.reshape(1, *grid.shape[:2], -1)
            with self._writer.as_default(step=epoch):
                tf.summary.image("samples", grid)
