"""Random images to show, and what the files of pictures hold."""

import numpy as np
from PIL import Image


def images_of(*shape, high=256):
    return np.random.default_rng(0).integers(0, high, shape, "uint8")


def read_back(path, mode="RGB"):
    """Return the pixels of the only file in its folder."""
    assert list(path.parent.iterdir()) == [path]
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert(mode)).astype(int)


def red_and_blue(path):
    """Return how many pixels of a picture are red, and how many blue."""
    red, _, blue = np.moveaxis(read_back(path), -1, 0)
    return (red > blue + 50).sum(), (blue > red + 50).sum()
