"""Two digits are found where they were pasted, and every place is equally likely."""

import keras
import numpy as np
import pytest

from keras_genimg.datasets import as_array, load, two_digits


@pytest.fixture
def dots(write_set):
    """Write five digits of 2 by 3 pixels that are black except for the upper left.

    Digit `k` has `10 * (k + 1)` there.
    """
    images = np.zeros((5, 2, 3, 1), "uint8")
    images[:, 0, 0, 0] = 10 * np.arange(1, 6)
    write_set("dots", images, (2, 3, 1))
    return images


class TestPairs:
    def test_digits_are_found_in_the_canvas(self):
        digits = as_array(load("digits", "test")).astype(int)
        canvases = as_array(two_digits("digits", "test", num_images=20))
        assert canvases.dtype == np.uint8 and canvases.shape == (20, 17, 17, 1)
        for canvas in canvases[..., 0].astype(int):
            assert is_pair_of(digits[..., 0], canvas)

    def test_sums_are_clipped(self, write_set):
        write_set("gray", np.full((1, 3, 3, 1), 200, "uint8"), (3, 3, 1))
        on_top = as_array(two_digits("gray", canvas_size=3, num_images=5))
        np.testing.assert_array_equal(on_top, np.full((5, 3, 3, 1), 255))
        apart = as_array(two_digits("gray", canvas_size=(3, 4), num_images=50))
        assert set(np.unique(apart)) == {0, 200, 255}

    def test_digits_and_places_are_uniform_and_independent(self, dots):
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

    def test_colors(self, write_set):
        rng = np.random.default_rng(0)
        images = rng.integers(1, 120, (4, 6, 6, 3), "uint8")
        write_set("svhn_like", images, (6, 6, 3))
        canvases = as_array(two_digits("svhn_like", canvas_size=8, num_images=9))
        for canvas in canvases.astype(int):
            assert is_pair_of(images.astype(int), canvas)

    def test_default_canvas_is_in_proportion(self, write_set):
        write_set("like_mnist", np.zeros((2, 28, 28, 1), "uint8"), (28, 28, 1))
        assert two_digits("like_mnist").element_spec.shape == (None, 60, 60, 1)
        write_set("like_svhn", np.zeros((2, 32, 16, 3), "uint8"), (32, 16, 3))
        assert two_digits("like_svhn").element_spec.shape == (None, 69, 34, 3)

    def test_mnist(self, mnist):
        dataset = two_digits("mnist", "test", batch_size=64, fixed=True)
        assert dataset.cardinality() == 157
        digits = as_array(load("mnist", "test", batch_size=256))
        canvases = next(iter(dataset)).numpy()
        assert canvases.shape == (64, 60, 60, 1)
        # Clipping takes away little.
        ink = digits.sum((1, 2, 3), dtype=float).mean()
        assert 1.8 * ink < canvases.sum((1, 2, 3), dtype=float).mean() < 2.1 * ink


class TestPasses:
    def test_are_new_and_follow_the_seed(self):
        dataset = two_digits("digits", "test", seed=7)
        again = two_digits("digits", "test", seed=7)
        passes = [as_array(dataset) for _ in range(3)]
        images = {image.tobytes() for data in passes for image in data}
        assert len(images) == 900
        for data in passes:
            np.testing.assert_array_equal(data, as_array(again))
        other = as_array(two_digits("digits", "test", seed=8))
        assert (other != passes[0]).any((1, 2, 3)).all()

    def test_fixed_depend_on_seed_and_position_alone(self):
        dataset = two_digits("digits", "test", seed=5, fixed=True)
        fixed = as_array(dataset)
        assert len(np.unique(fixed, axis=0)) == 300
        np.testing.assert_array_equal(as_array(dataset), fixed)
        kwargs = {"seed": 5, "fixed": True, "batch_size": 77, "num_images": 150}
        fewer = as_array(two_digits("digits", "test", **kwargs))
        np.testing.assert_array_equal(fewer, fixed[:150])
        keras.utils.set_random_seed(1)
        np.testing.assert_array_equal(
            as_array(two_digits("digits", "test", seed=5, fixed=True)), fixed
        )
        other = as_array(two_digits("digits", "test", seed=6, fixed=True))
        assert (other != fixed).any((1, 2, 3)).all()

    def test_fixed_images_binarized(self):
        def drawn(**kwargs):
            return two_digits("digits", "test", seed=3, fixed=True, **kwargs)

        plain, once = as_array(drawn()), drawn(binarize="fixed")
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

    def test_pixels_are_those_of_load(self):
        kwargs = {"split": "test", "fixed": True, "num_images": 40}
        plain = as_array(two_digits(**kwargs))
        quantized = as_array(two_digits(num_values=17, **kwargs))
        np.testing.assert_array_equal(quantized, np.round(plain * (16 / 255)))
        real = as_array(two_digits(intensities=True, **kwargs))
        assert real.dtype == np.float32
        np.testing.assert_array_equal(real, plain / np.float32(255))

    @pytest.mark.parametrize(
        ("num_images", "fixed"), [(1, True), (128, False), (129, True), (None, False)]
    )
    def test_cardinality_is_known(self, num_images, fixed):
        dataset = two_digits("digits", num_images=num_images, fixed=fixed)
        sizes = [len(batch) for batch in dataset]
        assert sum(sizes) == (num_images or 1497)
        assert dataset.cardinality() == len(sizes)

    def test_drop_remainder(self):
        kwargs = {"batch_size": 64, "num_images": 100, "drop_remainder": True}
        dataset = two_digits("digits", **kwargs)
        assert dataset.cardinality() == len(list(dataset)) == 1
        assert dataset.element_spec.shape == (64, 17, 17, 1)


def is_pair_of(digits, canvas):
    """Return whether `canvas` is the clipped sum of two of `digits` at some places."""
    height, width = digits.shape[1:3]
    places = [
        np.s_[y : y + height, x : x + width]
        for y in range(canvas.shape[0] - height + 1)
        for x in range(canvas.shape[1] - width + 1)
    ]
    for place in places:
        window = canvas[place]
        for first in digits[(digits <= window).all(tuple(range(1, digits.ndim)))]:
            rest = canvas.copy()
            rest[place] -= first
            for other in places:
                # Where the sum was clipped, the second may have been any that exceeds.
                clipped = canvas[other] == 255
                fits = (digits == rest[other]) | clipped & (digits >= rest[other])
                outside = rest.copy()
                outside[other] = 0
                if not outside.any() and fits.all(tuple(range(1, digits.ndim))).any():
                    return True
    return False


@pytest.mark.parametrize(
    "kwargs",
    [
        {"canvas_size": 7},
        {"canvas_size": (20, 7)},
        {"canvas_size": "60"},
        {"num_images": 0},
        {"num_images": 2.5},
        {"batch_size": 0},
        {"binarize": "static"},
        {"binarize": "fixed"},
        {"num_values": 1},
        {"intensities": True, "num_values": 17},
        {"seed": None},
        {"split": "validation"},
        {"batch_size": 6, "num_images": 5, "drop_remainder": True},
    ],
)
def test_error_names_what_was_received(kwargs):
    name, value = next(iter(kwargs.items()))
    with pytest.raises(ValueError) as error:
        two_digits("digits", **kwargs)
    assert f"{name}={value!r}" in str(error.value)
