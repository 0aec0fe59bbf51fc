"""Animations of DRAW's canvases while it trains."""

import pathlib
from typing import Any

from keras_genimg.callbacks.epoch_pictures import EpochPictures
from keras_genimg.models import DRAW
from keras_genimg.ops.checks import check_int, check_positive_int
from keras_genimg.types import PathLike
from keras_genimg.visualization import save_canvases


class CanvasAnimation(EpochPictures):
    """Animate how DRAW draws, after every few epochs, always with the same seeds.

    Writes `epoch_0001.gif`, `epoch_0002.gif` and so on: all canvases after each
    glimpse, with a red box around the pixels that the glimpse wrote. With `images`,
    DRAW reconstructs these. They are shown on the left, with a red box around the
    pixels that the glimpse read. Of several workers only the first one writes.

    Args:
        directory: Directory of the animations, made if there is none.
        num_images: Number of images to draw, 16 by default. Left out with `images`.
        every: Number of epochs between two animations.
        images: Images to reconstruct, in the likelihood's own range, an array of shape
            `(images, height, width, colors)`; None to draw images from the prior.
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
