"""Callbacks that write pictures while a model trains."""

import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.extras import optional
from keras_genimg.inputs.calls import image_seeds
from keras_genimg.inputs.images import (
    checked_inputs,
    condition_arrays,
    images_of,
    sized_image_shape,
)
from keras_genimg.models import DRAW, GenerativeModel, LatentModel
from keras_genimg.ops.checks import check_int, check_positive_int
from keras_genimg.ops.workers import is_chief
from keras_genimg.types import Conditions, PathLike, Seeds, Shape
from keras_genimg.visualization import save_canvases
from keras_genimg.visualization.grid import image_grid, save_picture

_GAP = 24  # Between the grids of `Reconstructions`, in pixels of the picture.


class EpochPictures(keras.callbacks.Callback):
    """Write `epoch_0001.png` and so on, a picture after every few epochs.

    Only the first of several workers writes.

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
            # A queue of 0 writes each picture to the log before its epoch ends.
            self._writer = tf.summary.create_file_writer(str(self.log_dir), max_queue=0)
        picture = picture.reshape(1, *picture.shape[:2], -1)
        with self._writer.as_default(step=epoch):
            tf.summary.image(self.log_name, picture)


class SampleGrid(EpochPictures):
    """Generate images after every few epochs, always with the same seeds.

    Writes `epoch_0001.png`, `epoch_0002.png` and so on: grids of samples. Images of the
    same seeds show how the model changes. Only the first of several workers writes.

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
            generate with the seed, the conditions or the size, which one image shows
            before the first epoch.
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


class Reconstructions(EpochPictures):
    """Reconstruct the same images after every few epochs.

    Writes `epoch_0001.png`, `epoch_0002.png` and so on: a grid of the images, and on
    its right a grid of their reconstructions by a VAE or DRAW. The latent variables are
    sampled with the same seeds each time. Only the first of several workers writes.

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
        grids = grids.reshape(*grids.shape[:3], -1)  # This adds an axis for colors.
        picture = image_grid(grids, columns=2, padding=_GAP)
        save_picture(path, picture)
        return picture


class CanvasAnimation(EpochPictures):
    """Animate how DRAW paints, after every few epochs, always with the same seeds.

    Writes `epoch_0001.gif`, `epoch_0002.gif` and so on: all canvases after each
    glimpse, with a red box around the pixels that the glimpse wrote. With `images`,
    DRAW reconstructs these. They are shown on the left, with a red box around the
    pixels that the glimpse read. Only the first of several workers writes.

    Args:
        directory: Directory of the animations, made if there is none.
        num_images: Number of images to generate, 16 by default. Left out with `images`.
        every: Number of epochs between two animations.
        images: Images to reconstruct, in the likelihood's own range, an array of shape
            `(images, height, width, colors)`; None to generate images from the prior.
        seed: Integer seed of the first image; the next images have the seeds that
            follow.
        columns: Number of columns of each grid; by default about a square.
        scale: Size of a pixel in the animation.

    Raises:
        ValueError: If an argument is not as described. From `fit`, if the shape or a
            pixel of the images does not fit the model.
        TypeError: From `fit` of a model that is not DRAW.

    Example:
        >>> canvases = CanvasAnimation("outputs/canvases", num_images=9, every=5)
        >>> model.fit(images, epochs=10, callbacks=[canvases])
    """

    family = DRAW
    suffix = ".gif"

    def __init__(
        self,
        directory: PathLike,
        num_images: int | None = None,
        every: int = 1,
        *,
        images: Any = None,
        seed: int = 0,
        columns: int | None = None,
        scale: int = 4,
    ):
        super().__init__(directory, every, columns=columns, scale=scale)
        owner = type(self).__name__
        if images is not None and num_images is not None:
            raise ValueError(
                f"{owner} either draws `num_images` or reconstructs `images`, so leave "
                f"one of them out. Received: num_images={num_images!r}, and images of "
                f"type {type(images).__name__}"
            )
        self.num_images = check_positive_int(
            "num_images", 16 if num_images is None else num_images, owner
        )
        self.images = images
        self.seed = check_int("seed", seed, owner, smallest=0)

    def write(self, path: pathlib.Path) -> None:
        model, options = self.model, {"seed": self.seed, "verbose": 0}
        display, cell = model.likelihood.to_display, model.loop.cell
        shown: dict[str, Any] = {"columns": self.columns, "scale": self.scale}
        if self.images is None:
            drawn = model.generate_canvases(self.num_images, **options)
        else:
            drawn = model.reconstruct_canvases(self.images, **options)
            shown["images"] = display(self.images)
        for kind, size in (("read", cell.read_size), ("write", cell.write_size)):
            attention = f"{kind}_attention"
            if size is not None and attention in drawn:
                shown |= {attention: drawn[attention], f"{kind}_size": size}
        save_canvases(path, display(drawn["canvases"]), **shown)
