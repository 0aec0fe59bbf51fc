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
