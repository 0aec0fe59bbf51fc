"""Patches are drawn, cut and pasted like in a loop over pixels."""

import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.datasets.patches import cut, free_places, paste, random_integers


@pytest.mark.parametrize("colors", [1, 3])
def test_cut(colors):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 5, 7, colors), "uint8")
    corners = np.stack([rng.integers(0, 4, 6), rng.integers(0, 4, 6)], 1).astype(
        "int32"
    )
    patches = cut(tf.constant(images), corners, (2, 4))
    assert patches.dtype == tf.uint8
    for image, (row, column), patch in zip(images, corners, patches, strict=True):
        expected = image[row : row + 2, column : column + 4]
        np.testing.assert_array_equal(patch, expected)


@pytest.mark.parametrize("colors", [1, 3])
def test_paste_sums(colors):
    rng = np.random.default_rng(1)
    patches = rng.integers(0, 256, (4, 3, 2, 4, colors), "uint8")
    corners = rng.integers(0, 4, (4, 3, 2)).astype("int32")
    expected = np.zeros((4, 5, 7, colors), "int32")
    for n in range(4):
        for patch, (row, column) in zip(patches[n], corners[n], strict=True):
            expected[n, row : row + 2, column : column + 4] += patch
    canvases = paste(tf.constant(patches), corners, (5, 7))
    assert canvases.dtype == tf.int32
    np.testing.assert_array_equal(canvases, expected)


def test_random_integers_are_uniform_and_independent():
    limits = (*free_places((3, 2), (4, 6)), 3)
    assert limits == (2, 5, 3)
    drawn = random_integers([0, 1], (50, 60), limits).numpy()
    assert drawn.shape == (50, 60, 3) and drawn.dtype == np.int32
    drawn = drawn.reshape(-1, 3)
    assert (drawn >= 0).all() and (drawn.max(0) == [1, 4, 2]).all()
    # 100 of 3000 for each of 2 * 5 * 3 triples: chi-squared with 29 degrees.
    counts = np.bincount(np.ravel_multi_index(drawn.T, limits), minlength=30)
    assert ((counts - 100) ** 2 / 100).sum() < 70
