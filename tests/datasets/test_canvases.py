"""Canvases of two digits, and of a digit among clutter."""

import zlib

import keras
import numpy as np
import pytest

from keras_genimg.datasets import as_array, cluttered_digits, two_digits
from tests.by_chance import (
    check_counts,
    check_means,
    check_shares,
    largest_deviate,
)


@pytest.fixture
def levels(add_set):
    """Write ten even digits of 4 by 4 pixels: digit `k` is `2 ** k // 4` all over."""
    images = np.array([2**k // 4 for k in range(10)], "uint8")
    images = images[:, None, None, None] * np.ones((4, 4, 1), "uint8")
    add_set("levels", images, label=np.arange(10))
    return images


def pixels_of(images):
    """Convert intensities back to integers in 0..255."""
    assert images.dtype == np.float32
    pixels = np.round(images * 255)
    np.testing.assert_array_equal(images, pixels / np.float32(255))
    return pixels.astype(int)


class TestOneDigit:
    @pytest.mark.parametrize("fixed", [False, True])
    def test_stands_on_its_canvas_with_its_label(self, fixed, add_set):
        digits = np.random.default_rng(0).integers(1, 256, (40, 4, 5, 1), "uint8")
        add_set("random", digits, label=np.arange(40)[::-1])
        options = {"canvas_size": 9, "num_clutter": 0, "num_images": 100}
        dataset = cluttered_digits("random", fixed=fixed, **options)
        images, labels = as_array(dataset)
        assert images.shape == (100, 9, 9, 1)
        assert labels.shape == (100,) and labels.dtype == np.int32
        for canvas, label in zip(pixels_of(images), labels, strict=True):
            found = canvas[canvas.any((1, 2))][:, canvas.any((0, 2))]
            np.testing.assert_array_equal(found, digits[39 - label])
        # Those of a test set come in turn, over and over.
        assert (labels == 39 - np.arange(100) % 40).all() == fixed

    def test_places_are_uniform(self, levels):
        kwargs = {"canvas_size": (5, 6), "num_clutter": 0, "num_images": 2000}
        images, labels = as_array(cluttered_digits("levels", seed=1, **kwargs))
        corners = np.argmax(images[labels > 1].reshape(-1, 30) > 0, axis=1)
        rows, columns = np.divmod(corners, 6)
        check_shares(3 * rows + columns, np.ones(6))
        check_shares(labels, np.ones(10))


class TestClutter:
    def test_is_of_other_digits(self, levels):
        # All fill the canvas, so that the sum says what was drawn.
        kwargs = {"num_clutter": 1, "clutter_size": 4, "num_images": 4000}
        dataset = cluttered_digits("levels", canvas_size=4, **kwargs)
        images, labels = as_array(dataset)
        pixels = pixels_of(images)
        assert (pixels == pixels[:, :1, :1]).all()
        fragments = pixels[:, 0, 0, 0] - levels[labels, 0, 0, 0]
        assert (fragments != levels[labels, 0, 0, 0])[labels > 1].all()
        # Each of the nine others equally often. Digits 0 and 1 are both black.
        seen = np.log2(np.maximum(fragments[labels == 2], 1)).astype(int)
        check_shares(seen, [2, 1, 1, 1, 1, 1, 1, 1])

    def test_is_cut_anywhere_and_lies_anywhere(self, add_set):
        # Pixel values are places in the digit, fragments are of one pixel.
        digit = np.arange(1, 7, dtype="uint8").reshape(2, 3, 1)
        add_set("places", [digit, digit], label=[0, 0])
        kwargs = {"canvas_size": (4, 5), "clutter_size": 1, "num_images": 1200}
        with_one, without = (
            as_array(cluttered_digits("places", num_clutter=n, fixed=True, **kwargs))[0]
            for n in (1, 0)
        )
        # Fragments do not disturb the draws of digits.
        fragments = pixels_of(with_one) - pixels_of(without)
        assert ((fragments > 0).sum((1, 2, 3)) == 1).all()
        check_shares(fragments.max((1, 2, 3)) - 1, np.ones(6))
        check_shares(fragments.reshape(-1, 20).argmax(1), np.ones(20))

    def test_defaults_are_in_proportion(self, add_set):
        # All pixels are 1, so that sums count what lies on one another.
        add_set("narrow_mnist", np.ones((2, 28, 14, 3), "uint8"), label=[0, 1])
        dataset = cluttered_digits("narrow_mnist", num_images=9)
        assert dataset.element_spec[0].shape == (None, 100, 50, 3)
        ink = pixels_of(as_array(dataset)[0]).sum((1, 2, 3))
        np.testing.assert_array_equal(ink, np.full(9, 3 * (28 * 14 + 8 * 8 * 4)))


def test_sums_are_clipped(add_set):
    add_set("light", np.full((2, 3, 3, 1), 150, "uint8"), label=[4, 5])
    options = {"canvas_size": 3, "num_images": 9}
    pairs = as_array(two_digits("light", **options))
    np.testing.assert_array_equal(pairs, np.full((9, 3, 3, 1), 255))
    images, _ = as_array(cluttered_digits("light", clutter_size=3, **options))
    np.testing.assert_array_equal(images, np.ones((9, 3, 3, 1)))


class TestPairs:
    def test_digits_and_places_are_uniform_and_independent(self, add_set):
        # Digits 1 to 5 are black except for their upper left, which is 10 times that.
        images = np.zeros((5, 2, 3, 1), "uint8")
        images[:, 0, 0, 0] = 10 * np.arange(1, 6)
        add_set("dots", images)
        # A digit has 2 * 3 places on this canvas, and so have the dots.
        canvases = as_array(two_digits("dots", canvas_size=(3, 5), num_images=6000))
        assert not canvases[:, 2].any() and not canvases[:, :, 3:].any()
        canvases = canvases[:, :2, :3, 0].reshape(-1, 6).astype(int) // 10
        # Each of 6 places holds on average 6000 * 2 / 6 digits whose mean is 3.
        # The square of a digit that is there once in 6 has a mean of 11 / 6.
        check_means(canvases, 1, np.sqrt(2 * (11 / 6 - 1 / 4)))
        # Both at one place: 1 of 6. Sums of two of 1..5 are 2..10, 1 to 5 to 1.
        alone = (canvases > 0).sum(1) == 1
        check_counts(alone.sum(), 6000, 1 / 6)
        check_shares(canvases[alone].max(1) - 2, [1, 2, 3, 4, 5, 4, 3, 2, 1])

    def test_color_digits_are_added_at_their_places(self, add_set):
        digit = np.random.default_rng(0).integers(1, 120, (2, 3, 3), "uint8")
        add_set("svhn_like", [digit])
        canvases = as_array(two_digits("svhn_like", canvas_size=(2, 4), num_images=50))
        assert canvases.dtype == np.uint8 and canvases.shape == (50, 2, 4, 3)
        left = np.pad(digit, ((0, 0), (0, 1), (0, 0)))
        right = np.pad(digit, ((0, 0), (1, 0), (0, 0)))
        expected = {each.tobytes() for each in (2 * left, left + right, 2 * right)}
        assert {canvas.tobytes() for canvas in canvases} == expected

    def test_default_canvas_is_in_proportion(self, add_set):
        add_set("like_mnist", np.zeros((2, 28, 28, 1), "uint8"))
        assert two_digits("like_mnist").element_spec.shape == (None, 60, 60, 1)
        add_set("like_svhn", np.zeros((2, 32, 16, 3), "uint8"))
        assert two_digits("like_svhn").element_spec.shape == (None, 69, 34, 3)


@pytest.mark.parametrize("binarize", ["fixed", "dynamic"])
def test_fixed_images_are_binarized(binarize):
    kwargs = {"seed": 3, "fixed": True}
    plain = as_array(two_digits("digits", "test", **kwargs))
    dataset = two_digits("digits", "test", binarize=binarize, **kwargs)
    bits, again = as_array(dataset), as_array(dataset)
    assert (bits != again).any() == (binarize == "dynamic")
    assert set(np.unique(bits)) == {0, 1}
    assert (bits <= plain).all() and (bits[plain == 255] == 1).all()
    # Were draws of digits and pixels related, means would be off.
    p = plain / 255
    error = (bits - p).sum() / np.sqrt((p * (1 - p)).sum())
    assert abs(error) < largest_deviate()


# The checksums are those of every version, so that results can be compared.
@pytest.mark.parametrize(
    "make, checksum", [(cluttered_digits, 4099167752), (two_digits, 4200906685)]
)
def test_fixed_images_depend_on_seed_and_position_alone(make, checksum):
    def drawn(seed=5, **kwargs):
        dataset = make("digits", "test", seed=seed, fixed=True, **kwargs)
        # Some have labels too.
        return dataset.map(lambda images, *labels: images)

    dataset = drawn()
    fixed = as_array(dataset)
    assert len(np.unique(fixed, axis=0)) == 300
    assert zlib.crc32(fixed.tobytes()) == checksum
    np.testing.assert_array_equal(as_array(dataset), fixed)
    keras.utils.set_random_seed(1)
    number = np.uint8(150)  # Whose negative is 106.
    fewer = as_array(drawn(batch_size=77, num_images=number))
    np.testing.assert_array_equal(fewer, fixed[:150])
    assert (as_array(drawn(seed=6)) != fixed).any((1, 2, 3)).all()


def test_one_digit_has_no_others(add_set):
    add_set("single", np.ones((1, 4, 4, 1), "uint8"), label=[3])
    with pytest.raises(ValueError, match="other digits.*split='train'"):
        cluttered_digits("single")
    assert as_array(cluttered_digits("single", num_clutter=0))[1] == [3]
