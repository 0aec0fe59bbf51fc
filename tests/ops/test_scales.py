import numpy as np

from keras_genimg.ops.scales import reduced

# Cells are 2 pixels high and 3 pixels wide.
IMAGES = np.random.default_rng(0).integers(256, size=(2, 8, 12, 3))
CELLS = IMAGES.reshape(2, 4, 2, 4, 3, 3)


def test_a_box_is_the_rounded_mean_of_its_pixels():
    means = CELLS.mean(axis=(2, 4))
    expected = np.floor(means + 0.5)
    np.testing.assert_array_equal(reduced(IMAGES, (2, 3), "box"), expected)


def test_halves_are_rounded_up():
    images = np.array([0, 1]).reshape(1, 1, 2, 1)
    assert reduced(images, (1, 2), "box").item() == 1


def test_the_top_left_pixel_of_a_cell():
    expected = CELLS[:, :, 0, :, 0]
    np.testing.assert_array_equal(reduced(IMAGES, (2, 3), "top_left"), expected)
