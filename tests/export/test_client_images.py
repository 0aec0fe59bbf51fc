"""The image files of `genimg-client`, without a server."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tqdm", reason='needs the extra "serving"')
from genimg_export.clients import commands  # noqa: E402
from keras_genimg import datasets  # noqa: E402


@pytest.mark.parametrize("mode, colors", [("RGB", 3), ("L", 1)])
def test_images_are_resized_as_those_of_a_folder(mode, colors, tmp_path):
    shape = (40, 61, colors) if colors == 3 else (40, 61)
    pixels = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    turned = Image.Exif()
    turned[0x0112] = 6  # To be turned by 90 degrees.
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=turned)
    loaded = datasets.load(tmp_path, "all", image_size=(9, 8))
    (expected,) = datasets.as_array(loaded)
    read = commands._read_image(tmp_path / "a.png", (9, 8, colors), resize=True)
    # Pillow rounds between the axes.
    np.testing.assert_allclose(read.astype(int), expected.astype(int), atol=1)
    # It is not the image without turning.
    plain = Image.fromarray(pixels).resize((8, 9), Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(plain).reshape(9, 8, colors) - read.astype(int)).max() > 9


def test_halves():
    for name in ("upper", "lower", "left", "right"):
        known = commands._half(name, 5, 4)
        assert known.shape == (5, 4)
        assert known.sum() == {"upper": 12, "lower": 8}.get(name, 10)
        assert known[0, 0] == (name in ("upper", "left"))
        assert known[-1, -1] == (name in ("lower", "right"))


@pytest.mark.parametrize(
    "known, expected",
    [
        ("11 00", False),
        ("11 10", False),
        ("00 00", False),
        ("11 11", False),
        ("00 11", True),
        ("10 10", True),
        ("11 01", True),
    ],
)
def test_known_pixels_after_an_unknown_one(known, expected):
    rows = [[digit == "1" for digit in row] for row in known.split()]
    assert commands._some_follow_unknown(np.array(rows)) is expected
