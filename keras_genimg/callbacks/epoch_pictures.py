"""Base class of callbacks that write pictures while a model trains."""

import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.extras import optional
from keras_genimg.inputs.images import checked_inputs
from keras_genimg.models import GenerativeModel
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.ops.workers import is_chief
from keras_genimg.types import PathLike


class EpochPictures(keras.callbacks.Callback):
    """Write `epoch_0001.png` and so on, a picture after every few epochs.

    Of several workers only the first one writes.

    A subclass implements `write`.

    Args:
        directory: Directory of the pictures, made if there is none.
        every: Number of epochs between two pictures.
        columns: Number of columns of a grid; by default about a square.
        scale: Size of a pixel in the picture.
        log_dir: Directory of TensorBoard's logs, to show the pictures there too.

    Raises:
        ImportError: If `log_dir` is given and TensorBoard is not installed.
        ValueError: If an argument is not as described.
        TypeError: From `fit`, if the model is of another family.
    """

    # Class of the models that the pictures are of.
    family: type[keras.Model] = GenerativeModel
    suffix = ".png"
    # Name of the pictures in TensorBoard.
    log_name = "pictures"
    # Images that the pictures show, if any.
    images: Any = None

    def __init__(
        self,
        directory: PathLike,
        every: int = 1,
        *,
        columns: int | None = None,
        scale: int = 2,
        log_dir: PathLike | None = None,
    ):
        super().__init__()
        owner = type(self).__name__
        self.directory = pathlib.Path(directory)
        self.every = check_positive_int("every", every, owner)
        if columns is not None:
            columns = check_positive_int("columns", columns, owner)
        self.columns = columns
        self.scale = check_positive_int("scale", scale, owner)
        self.log_dir = log_dir
        self._writer = None
        if log_dir is not None:
            with optional(f"`log_dir` of {owner} needs TensorBoard", "tensorboard"):
                import tensorboard  # noqa: F401

    def write(self, path: pathlib.Path) -> np.ndarray | None:
        """Write a picture of the model as it is now.

        Args:
            path: Path of the file, which ends in `suffix`.

        Returns:
            The picture for TensorBoard, `uint8` of shape `(height, width)` or `(height,
            width, 3)`; None if there is none.
        """
        raise NotImplementedError

    def on_train_begin(self, logs: Any = None) -> None:
        owner = type(self).__name__
        if not isinstance(self.model, self.family):
            raise TypeError(
                f"{owner} needs a model of class keras_genimg.models."
                f"{self.family.__name__}. Received: the model '{self.model.name}' of "
                f"type {type(self.model).__name__}"
            )
        colors = self.model.image_shape[-1]
        if colors not in (1, 3):
            raise ValueError(
                f"{owner} shows images of 1 or 3 colors. Received: the model "
                f"'{self.model.name}' of images with {colors} colors"
            )
        if self.images is not None:
            owner = f"{owner} of {self.model.name}"
            self.images = checked_inputs(self.images, self.model, owner)
            if isinstance(self.images, tf.data.Dataset):
                raise ValueError(
                    f"{owner} takes images as an array, such as keras_genimg.datasets."
                    f"as_array(dataset.take(1)). Received: {self.images}"
                )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if (epoch + 1) % self.every or not is_chief(self.model.distribute_strategy):
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        picture = self.write(self.directory / f"epoch_{epoch + 1:04d}{self.suffix}")
        if self.log_dir is None or picture is None:
            return
        if self._writer is None:
            # Without a queue, each picture is in the log when its epoch ends.
            self._writer = tf.summary.create_file_writer(str(self.log_dir), max_queue=0)
        picture = picture.reshape(1, *picture.shape[:2], -1)
        with self._writer.as_default(step=epoch):
            tf.summary.image(self.log_name, picture)
