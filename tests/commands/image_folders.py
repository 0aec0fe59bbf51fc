"""Folders of random images, as `genimg-train --data` takes them."""

import numpy as np
from PIL import Image


def random_images(count, size=(8, 8), colors=1):
    return np.random.default_rng(0).integers(
        256, size=(count, *size, colors), dtype="uint8"
    )


def write_images(folder, *arguments, **options):
    """Write random images as PNG files."""
    folder.mkdir(parents=True)
    for index, image in enumerate(random_images(*arguments, **options)):
        Image.fromarray(image.squeeze()).save(folder / f"{index:03d}.png")
    return folder


def holds(picture, grid):
    """Return whether a picture holds a gray grid of images somewhere."""
    pixels = np.asarray(picture.convert("L"))
    height, width = grid.shape
    places = np.lib.stride_tricks.sliding_window_view(pixels, (height, width))
    # Most places differ in the first row.
    alike = (places[:, :, 0] == grid[0]).all(axis=-1)
    return any((places[y, x] == grid).all() for y, x in np.argwhere(alike))
