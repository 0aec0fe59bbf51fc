"""Crops, on sets made for the purpose."""

import numpy as np
import pytest

from keras_genimg.datasets import as_array, load
from tests.by_chance import check_shares, check_uncorrelated


@pytest.fixture
def numbered(add_set):
    """Write 12 images of 5 by 7 pixels that say where a crop was cut.

    Pixel (row, column) of image `k` is `35 * (k % 7) + 7 * row + column`.
    """
    pixels = np.arange(35).reshape(5, 7, 1)
    images = [(35 * (k % 7) + pixels).astype("uint8") for k in range(12)]
    add_set("numbered", images)
    return np.stack(images)


class TestCenterCrop:
    @pytest.mark.parametrize(
        ("crop_size", "rows", "columns"),
        [
            (3, slice(1, 4), slice(2, 5)),
            ((5, 7), slice(0, 5), slice(0, 7)),
            # If a margin is odd, its larger part is below and right.
            ((2, 4), slice(1, 3), slice(1, 5)),
            ((1, 7), slice(2, 3), slice(0, 7)),
        ],
    )
    def test_is_exact(self, numbered, crop_size, rows, columns):
        dataset = load("numbered", batch_size=5, crop_size=crop_size)
        expected = numbered[:, rows, columns]
        assert dataset.element_spec.shape == (None, *expected.shape[1:])
        np.testing.assert_array_equal(as_array(dataset), expected)

    def test_comes_after_the_resizing(self, numbered):
        resized = as_array(load("numbered", image_size=(10, 9)))
        cropped = as_array(load("numbered", image_size=(10, 9), crop_size=(4, 3)))
        np.testing.assert_array_equal(cropped, resized[:, 3:7, 3:6])


class TestRandomCrop:
    def test_is_a_part_of_its_image_at_every_place_equally_often(self, numbered):
        dataset = load("numbered", batch_size=5, crop_size=(3, 5), random_crop=True)
        crops = as_array(dataset.repeat(150)).astype(int)
        offsets = crops[:, 0, 0, 0] - 35 * (np.arange(len(crops)) % 12 % 7)
        rows, columns = np.divmod(offsets, 7)
        for k in range(30):
            expected = numbered[k % 12, rows[k] : rows[k] + 3, columns[k] :][:, :5]
            np.testing.assert_array_equal(crops[k], expected)
        check_shares(3 * rows + columns, np.ones(9))

    def test_leaves_order_and_labels(self):
        plain = as_array(load("digits", "test", shuffle=True, labels=True))
        kwargs = {"shuffle": True, "labels": True, "crop_size": 8, "random_crop": True}
        np.testing.assert_equal(as_array(load("digits", "test", **kwargs)), plain)

    def test_fixed_binarization_is_that_of_the_whole_image(self):
        kwargs = {"binarize": "fixed", "seed": 5}
        whole = as_array(load("digits", "test", **kwargs))
        center = as_array(load("digits", "test", crop_size=(6, 4), **kwargs))
        np.testing.assert_array_equal(center, whole[:, 1:7, 2:6])
        load_crops = load("digits", "test", crop_size=7, random_crop=True, **kwargs)
        crops = as_array(load_crops)
        parts = [whole[:, y : y + 7, x : x + 7] for y in (0, 1) for x in (0, 1)]
        assert np.any([(crops == part).all((1, 2, 3)) for part in parts], axis=0).all()

    def test_places_say_nothing_of_the_dynamic_binarization(self, add_set):
        # One pixel is left, at place 0 or 1, and gray: places and pixels both vary.
        gray = np.full((4000, 1, 2, 1), [[[120], [121]]], "uint8")
        add_set("pairs", gray)
        kwargs = {"batch_size": 4000, "crop_size": 1, "random_crop": True, "seed": 2}
        places = as_array(load("pairs", **kwargs)).ravel() == 121
        pixels = as_array(load("pairs", binarize="dynamic", **kwargs)).ravel()
        check_uncorrelated([places, pixels])


class TestRandomFlip:
    def test_mirrors_each_image_with_probability_one_half(self, numbered):
        dataset = load("numbered", batch_size=5, random_flip=True)
        found = as_array(dataset.repeat(150))
        whole = np.concatenate([numbered] * 150)
        is_same = (found == whole).all((1, 2, 3))
        is_flipped = (found == whole[:, :, ::-1]).all((1, 2, 3))
        assert (is_same ^ is_flipped).all()
        check_shares(is_flipped.astype(int), np.ones(2))
        # Neighbors in a batch, and an image in two epochs, are independent.
        for distance in (1, 12):
            pairs = is_flipped[:-distance] * 2 + is_flipped[distance:]
            check_shares(pairs, np.ones(4))

    def test_is_independent_of_places_and_bits(self, add_set):
        gray = np.full((4000, 1, 3, 1), [[[100], [120], [140]]], "uint8")
        add_set("triples", gray)
        kwargs = {"batch_size": 4000, "random_flip": True, "seed": 2}
        crops = {**kwargs, "crop_size": (1, 2), "random_crop": True}
        first, second = as_array(load("triples", **crops))[:, 0, :, 0].astype(int).T
        is_flipped, is_right = second < first, first + second == 260
        whole = as_array(load("triples", **kwargs)).astype(int)
        np.testing.assert_array_equal(is_flipped, whole[:, 0, 0, 0] == 140)
        bits = as_array(load("triples", binarize="dynamic", **kwargs))[:, 0, 1, 0]
        for other in (is_right, bits):
            check_uncorrelated([is_flipped, other])

    def test_leaves_order_and_labels_and_describes_itself(self):
        plain = load("digits", "test", shuffle=True, labels=True)
        kwargs = {"shuffle": True, "labels": True, "random_flip": True}
        flipped = load("digits", "test", **kwargs)
        assert flipped.epochs.description != plain.epochs.description
        assert "random_flip" not in plain.epochs.description
        plain, flipped = as_array(plain), as_array(flipped)
        np.testing.assert_array_equal(plain["label"], flipped["label"])
        np.testing.assert_array_equal(
            plain["images"].sum(axis=2), flipped["images"].sum(axis=2)
        )
