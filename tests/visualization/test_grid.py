"""Grids of images and of pixels: layout by hand, files read back by Pillow."""

import numpy as np
import pytest

from keras_genimg.visualization import (
    image_grid,
    save_comparison,
    save_dependency_fields,
    save_grid,
)
from tests.visualization.pictures import images_of, read_back, red_and_blue


def test_layout_by_hand():
    images = np.array([1, 2, 3], "uint8").reshape(3, 1, 1, 1)
    expected = [[1, 255, 2], [255, 255, 255], [3, 255, 255]]
    np.testing.assert_array_equal(image_grid(images), expected)
    np.testing.assert_array_equal(image_grid(images, columns=3, padding=0), [[1, 2, 3]])
    scaled = [[1, 1, 255, 2, 2], [1, 1, 255, 2, 2]]
    np.testing.assert_array_equal(image_grid(images[:2], columns=2, scale=2), scaled)


def test_color_cells_are_the_images_for_numbers_of_numpy():
    """256 pixels and more do not fit into the type of the padding."""
    images = images_of(5, 200, 6, 3)
    grid = image_grid(images, *np.uint8([2, 3, 1]))
    assert grid.shape == (3 * 203 - 3, 2 * 9 - 3, 3) and grid.dtype == np.uint8
    for k, image in enumerate(images):
        top, left = k // 2 * 203, k % 2 * 9
        np.testing.assert_array_equal(grid[top : top + 200, left : left + 6], image)
    assert (grid[2 * 203 :, 9:] == 255).all()


@pytest.mark.parametrize("colors, mode", [(1, "L"), (3, "RGB")])
def test_save_grid_reads_back(tmp_path, colors, mode):
    images = images_of(7, 5, 4, colors)
    path = tmp_path / "new" / "grid.png"
    for _ in range(2):  # The second time, it replaces a file.
        save_grid(str(path), images, columns=4, padding=2, scale=3)
    np.testing.assert_array_equal(read_back(path, mode), image_grid(images, 4, 2, 3))


def test_comparison_holds_each_grid_pixel_by_pixel(tmp_path):
    gray, color = images_of(6, 8, 8, 1), images_of(4, 5, 7, 3)
    panels = {"gray $x$ and $": gray, "a title wider than its panel\nand more": color}
    path = tmp_path / "both.png"
    save_comparison(path, panels, columns=3, scale=2)
    page = read_back(path)
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


def test_dependency_fields_by_hand(tmp_path):
    path = tmp_path / "fields.png"
    field = np.zeros((3, 4), bool)
    field[0] = True
    save_dependency_fields(path, {"one": field, "two": ~field}, pixel=(1, 2), scale=5)
    # The pixel once in each panel; 4 pixels, and 8 but for the pixel itself.
    assert red_and_blue(path) == (2 * 25, (4 + 7) * 25)
