"""Tests of keras_genimg.visualization: layout by hand, files read back by Pillow."""

import sys

import numpy as np
import pytest
from PIL import Image

from keras_genimg.visualization import (
    image_grid,
    save_canvases,
    save_comparison,
    save_grid,
    save_kl_per_step,
)
from tests.subprocesses import run_python


def images_of(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, "uint8")


def test_layout_by_hand():
    images = np.array([1, 2, 3], "uint8").reshape(3, 1, 1, 1)
    expected = [[1, 255, 2], [255, 255, 255], [3, 255, 255]]
    np.testing.assert_array_equal(image_grid(images), expected)
    np.testing.assert_array_equal(image_grid(images, columns=3, padding=0), [[1, 2, 3]])
    scaled = [[1, 1, 255, 2, 2], [1, 1, 255, 2, 2]]
    np.testing.assert_array_equal(image_grid(images[:2], columns=2, scale=2), scaled)


def test_color_cells_are_the_images():
    images = images_of(5, 4, 6, 3)
    grid = image_grid(images, columns=2, padding=3)
    assert grid.shape == (3 * 7 - 3, 2 * 9 - 3, 3) and grid.dtype == np.uint8
    for k, image in enumerate(images):
        top, left = k // 2 * 7, k % 2 * 9
        np.testing.assert_array_equal(grid[top : top + 4, left : left + 6], image)
    assert (grid[14:, 9:] == 255).all()


@pytest.mark.parametrize(
    "images",
    [
        images_of(3, 4, 4),
        images_of(3, 4, 4, 2),
        images_of(3, 4, 4, 1).astype("float32"),
        images_of(3, 4, 4, 1) > 127,
        images_of(0, 4, 4, 1),
        images_of(1, 0, 4, 1),
    ],
)
def test_wrong_images_are_refused_and_no_file_is_touched(tmp_path, images):
    received = rf"Received: shape=\({images.shape[0]}, .*dtype={images.dtype}"
    with pytest.raises(ValueError, match=received):
        image_grid(images)
    with pytest.raises(ValueError, match=received):
        save_grid(tmp_path / "a.png", images)
    with pytest.raises(ValueError, match=f"Panel 'bad': .*{received}"):
        save_comparison(
            tmp_path / "a.png", {"good": images_of(1, 2, 2, 1), "bad": images}
        )
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy():
    """256 pixels and more do not fit into the type of the padding."""
    images = images_of(3, 200, 4, 1)
    numbers = np.uint8([2, 1, 2])
    np.testing.assert_array_equal(
        image_grid(images, *numbers), image_grid(images, 2, 1, 2)
    )


@pytest.mark.parametrize("kwargs", [{"columns": 0}, {"padding": -1}, {"scale": 1.5}])
def test_wrong_numbers_are_refused(kwargs):
    (name, value) = next(iter(kwargs.items()))
    with pytest.raises(ValueError, match=f"{name}={value}"):
        image_grid(images_of(3, 4, 4, 1), **kwargs)


@pytest.mark.parametrize("colors", [1, 3])
def test_save_grid_reads_back(tmp_path, colors):
    images = images_of(7, 5, 4, colors)
    path = tmp_path / "new" / "grid.png"
    for _ in range(2):  # The second time, it replaces a file.
        save_grid(str(path), images, columns=4, padding=2, scale=3)
    with Image.open(path) as read:
        assert read.format == "PNG"
        np.testing.assert_array_equal(read, image_grid(images, 4, 2, 3))
    assert list(path.parent.iterdir()) == [path]


def test_only_png_files_are_written(tmp_path):
    cases = (
        (save_grid, images_of(1, 4, 4, 1)),
        (save_comparison, {}),
        (save_kl_per_step, [[1.0]]),
    )
    for save, what in cases:
        with pytest.raises(ValueError, match="must end in .png.*a.jpg"):
            save(tmp_path / "a.jpg", what)


def test_comparison_holds_each_grid_pixel_by_pixel(tmp_path):
    gray, color = images_of(6, 8, 8, 1), images_of(4, 5, 7, 3)
    panels = {"gray $x$ and $": gray, "a title wider than its panel\nand more": color}
    path = tmp_path / "both.png"
    save_comparison(path, panels, columns=3, scale=2)
    with Image.open(path) as read:
        page = np.asarray(read.convert("RGB"))
    assert list(tmp_path.iterdir()) == [path]
    grids = [image_grid(gray, 3, 1, 2), image_grid(color, 3, 1, 2)]
    assert contains(page, np.stack([grids[0]] * 3, axis=-1))
    assert contains(page, grids[1])
    border = [page[0], page[-1], page[:, 0], page[:, -1]]
    assert all((line == 255).all() for line in border)
    # Dark titles above the panels.
    assert page[: len(page) - 24 - len(grids[0])].min() < 64


def contains(page, grid):
    windows = np.lib.stride_tricks.sliding_window_view(page, grid.shape)
    return (windows == grid).all(axis=(-3, -2, -1)).any()


@pytest.mark.parametrize("panels", [{}, [images_of(1, 2, 2, 1)]])
def test_comparison_needs_a_dict(tmp_path, panels):
    with pytest.raises(ValueError, match="dict of images by title"):
        save_comparison(tmp_path / "a.png", panels)


@pytest.mark.parametrize(
    "module, save, name",
    [
        ("PIL", lambda path: save_grid(path, images_of(1, 2, 2, 1)), "a.png"),
        ("PIL", lambda path: save_canvases(path, images_of(1, 1, 2, 2, 1)), "a.gif"),
        (
            "matplotlib.figure",
            lambda path: save_comparison(path, {"a": images_of(1, 2, 2, 1)}),
            "a.png",
        ),
        ("matplotlib.figure", lambda path: save_kl_per_step(path, [[1.0]]), "a.png"),
    ],
)
def test_missing_library_names_the_extra(tmp_path, monkeypatch, module, save, name):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r'pip install "\.\[examples\]"'):
        save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_saving_leaves_pyplot_out(tmp_path):
    code = (
        "import sys, keras, numpy\n"
        "before = set(sys.modules)  # Keras imports matplotlib itself.\n"
        "from keras_genimg.visualization import save_comparison\n"
        "panels = {'a': numpy.zeros((1, 2, 2, 1), 'uint8')}\n"
        "save_comparison(sys.argv[1], panels)\n"
        "assert 'matplotlib.pyplot' not in set(sys.modules) - before\n"
    )
    run_python("-c", code, tmp_path / "a.png")
