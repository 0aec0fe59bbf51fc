"""Boxes of attention by hand."""

import numpy as np
import pytest

from keras_genimg.visualization import attention_box


def test_boxes_by_hand():
    # (center_x, center_y, stride, sigma, gamma)
    attention = [[3, 5, 2, 1, 1], [3, 5, 0, 1, 1], [-1.5, 0, 0.5, 7, 9]]
    # Centers at x = 1, 3, 5 and y = 3, 5, 7; the pixels are half a pixel wider.
    expected = [[1, 3, 6, 8], [3, 5, 4, 6], [-2, -0.5, 0, 1.5]]
    np.testing.assert_array_equal(attention_box(attention, 3), expected)
    # An even number has no filter at the center; one filter has no stride.
    np.testing.assert_array_equal(attention_box(attention[0], 4), [0, 2, 7, 9])
    np.testing.assert_array_equal(attention_box(attention[0], 1), [3, 5, 4, 6])


def test_box_covers_the_image_that_filters_cover():
    # Initially DRAW spreads its filters from the first to the last pixel.
    height = width = 28
    size = 5
    attention = np.zeros((2, 7, 5), "float32")
    attention[...] = (width - 1) / 2, (height - 1) / 2, (width - 1) / (size - 1), 1, 1
    boxes = attention_box(attention, size)
    assert boxes.shape == (2, 7, 4)
    assert (boxes == [0, 0, width, height]).all()


@pytest.mark.parametrize(
    "attention, size, text",
    [
        (np.zeros((2, 4)), 3, r"5 numbers.*shape=\(2, 4\)"),
        (np.float32(1), 3, r"5 numbers.*shape=\(\)"),
        ([0, 0, np.nan, 1, 1], 3, "finite.*nan"),
        ([0, 0, 1, np.inf, 1], 3, "finite.*inf"),
        ([0, 0, 1, 1, 1], 0, "size=0"),
        ([0, 0, 1, 1, 1], 2.0, "size=2.0"),
    ],
)
def test_bad_arguments_are_refused(attention, size, text):
    with pytest.raises(ValueError, match=text):
        attention_box(attention, size)
