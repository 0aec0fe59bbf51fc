"""Canvases of two digits, and of a digit among clutter."""

import keras
import numpy as np
import pytest

from keras_genimg.datasets import as_array, cluttered_digits, two_digits


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
        rows, columns = corners // 6, corners % 6
        counts = np.bincount(3 * rows + columns, minlength=6)
        expected = len(corners) / 6
        assert len(counts) == 6
        assert ((counts - expected) ** 2 / expected).sum() < 30
        counts = np.bincount(labels, minlength=10)
        assert ((counts - 200) ** 2 / 200).sum() < 37


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
        seen = fragments[(labels == 2)]
        counts = np.array([(seen == value).sum() for value in levels[3:9, 0, 0, 0]])
        expected = len(seen) / 9
        assert ((counts - expected) ** 2 / expected).sum() < 30

    def test_count_and_size(self, add_set):
        # All pixels are 1, so that sums count what lies on one another.
        add_set("ones", np.ones((3, 6, 6, 1), "uint8"), label=[1, 2, 3])
        kwargs = {"canvas_size": 90, "clutter_size": (2, 3), "num_images": 50}
        images, _ = as_array(cluttered_digits("ones", num_clutter=5, **kwargs))
        ink = pixels_of(images).sum((1, 2, 3))
        np.testing.assert_array_equal(ink, np.full(50, 6 * 6 + 5 * 2 * 3))

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
        cut_at = np.bincount(fragments.max((1, 2, 3)), minlength=7)[1:]
        assert ((cut_at - 200) ** 2 / 200).sum() < 30
        lies_at = (fragments > 0).sum(0).ravel()
        assert ((lies_at - 60) ** 2 / 60).sum() < 55

    def test_sums_are_clipped(self, add_set):
        add_set("light", np.full((2, 3, 3, 1), 90, "uint8"), label=[4, 5])
        kwargs = {"canvas_size": 3, "clutter_size": 3, "num_images": 9}
        images, _ = as_array(cluttered_digits("light", **kwargs))
        np.testing.assert_array_equal(images, np.ones((9, 3, 3, 1)))

    def test_defaults_are_in_proportion(self, add_set):
        digits = np.full((2, 28, 28, 3), 1, "uint8")
        add_set("like_mnist", digits, label=[0, 1])
        dataset = cluttered_digits("like_mnist", num_images=4)
        assert dataset.element_spec[0].shape == (None, 100, 100, 3)
        ink = pixels_of(as_array(dataset)[0]).sum((1, 2, 3))
        np.testing.assert_array_equal(ink, np.full(4, 3 * (28 * 28 + 8 * 8 * 8)))


class TestPairs:
    def test_sums_are_clipped(self, add_set):
        add_set("gray", np.full((1, 3, 3, 1), 200, "uint8"))
        on_top = as_array(two_digits("gray", canvas_size=3, num_images=5))
        np.testing.assert_array_equal(on_top, np.full((5, 3, 3, 1), 255))

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
        assert np.abs(canvases.mean(0) - 1).max() < 6 * np.sqrt(5 / 6000)
        # Both at one place: 1 of 6. Sums of two of 1..5 are 2..10, 1 to 5 to 1.
        alone = (canvases > 0).sum(1) == 1
        assert abs(alone.mean() - 1 / 6) < 5 * np.sqrt(5 / 36 / 6000)
        expected = alone.sum() * np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]) / 25
        counts = np.bincount(canvases[alone].max(1), minlength=11)[2:]
        assert ((counts - expected) ** 2 / expected).sum() < 35

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


def test_fixed_images_are_prepared_as_those_of_load():
    def drawn(**kwargs):
        return two_digits("digits", "test", seed=3, fixed=True, **kwargs)

    plain = as_array(drawn())
    levels, real = as_array(drawn(num_values=17)), as_array(drawn(intensities=True))
    np.testing.assert_array_equal(levels, np.round(plain * (16 / 255)))
    assert real.dtype == np.float32
    np.testing.assert_array_equal(real, plain / np.float32(255))
    once = drawn(binarize="fixed")
    bits = as_array(once)
    assert set(np.unique(bits)) == {0, 1}
    assert (bits <= plain).all() and (bits[plain == 255] == 1).all()
    np.testing.assert_array_equal(as_array(once), bits)
    anew = drawn(binarize="dynamic")
    first, second = as_array(anew), as_array(anew)
    assert (first != second).any() and (first <= plain).all()
    # Were draws of digits and pixels related, means would be off.
    assert abs(bits.mean() - plain.mean() / 255) < 0.006
    assert abs(first.mean() - plain.mean() / 255) < 0.006


def images_in(dataset):
    """Return all images of a data set, which may have labels too."""
    arrays = as_array(dataset)
    return arrays[0] if isinstance(arrays, tuple) else arrays


@pytest.mark.parametrize("make", [cluttered_digits, two_digits])
def test_fixed_images_depend_on_seed_and_position_alone(make):
    dataset = make("digits", "test", seed=5, fixed=True)
    fixed = images_in(dataset)
    assert len(np.unique(fixed, axis=0)) == 300
    np.testing.assert_array_equal(images_in(dataset), fixed)
    keras.utils.set_random_seed(1)
    number = np.uint8(150)  # Whose negative is 106.
    kwargs = {"seed": 5, "fixed": True, "batch_size": 77, "num_images": number}
    fewer = images_in(make("digits", "test", **kwargs))
    np.testing.assert_array_equal(fewer, fixed[:150])
    other = images_in(make("digits", "test", seed=6, fixed=True))
    assert (other != fixed).any((1, 2, 3)).all()


def test_one_digit_has_no_others(add_set):
    add_set("single", np.ones((1, 4, 4, 1), "uint8"), label=[3])
    with pytest.raises(ValueError, match="other digits.*split='train'"):
        cluttered_digits("single")
    assert as_array(cluttered_digits("single", num_clutter=0))[1] == [3]
