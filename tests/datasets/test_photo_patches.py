"""Crops of the photographs that scikit-image and scikit-learn ship."""

import socket
from unittest import mock

import numpy as np
import pytest
from skimage import data
from sklearn.datasets import load_sample_image

from keras_genimg.datasets import as_array, load


def crop(photograph, top, left):
    return photograph[top : top + 32, left : left + 32]


@pytest.fixture(scope="module")
def images():
    refused = AssertionError("photographs must be read without a network")
    with mock.patch.object(socket.socket, "connect", side_effect=refused):
        splits = ("train", "test", "all")
        return {split: as_array(load("photo_patches", split)) for split in splits}


def test_counts_by_hand(images):
    # Rows times columns of corners: (512 - 32) / 16 + 1 = 31, (427 - 32) // 16 + 1 =
    # 25, (640 - 32) / 16 + 1 = 39; those of the test split do not overlap.
    assert images["train"].shape == (31 * 31 + 3 * 25 * 39, 32, 32, 3)
    assert images["train"].dtype == np.uint8
    both = np.concatenate([images["train"], images["test"]])
    np.testing.assert_array_equal(images["all"], both)


def test_crops_are_pixels_of_the_photographs_in_the_documented_order(images):
    train, test = images["train"], images["test"]
    astronaut, rocket = data.astronaut(), data.rocket()
    china, flower = load_sample_image("china.jpg"), load_sample_image("flower.jpg")
    np.testing.assert_array_equal(train[0], crop(astronaut, 0, 0))
    np.testing.assert_array_equal(train[1], crop(astronaut, 0, 16))
    np.testing.assert_array_equal(train[31], crop(astronaut, 16, 0))
    np.testing.assert_array_equal(train[960], crop(astronaut, 480, 480))
    np.testing.assert_array_equal(train[961], crop(china, 0, 0))
    np.testing.assert_array_equal(train[961 + 39 + 2], crop(china, 16, 32))
    np.testing.assert_array_equal(train[961 + 975], crop(flower, 0, 0))
    np.testing.assert_array_equal(train[-1], crop(rocket, 384, 608))

    chelsea, coffee = data.chelsea(), data.coffee()
    whole = test[:126].reshape(9, 14, 32, 32, 3).swapaxes(1, 2).reshape(288, 448, 3)
    np.testing.assert_array_equal(whole, chelsea[:288, :448])
    whole = test[126:].reshape(12, 18, 32, 32, 3).swapaxes(1, 2).reshape(384, 576, 3)
    np.testing.assert_array_equal(whole, coffee[:384, :576])
