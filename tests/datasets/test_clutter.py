"""Clutter is of other digits, digits keep their labels, and places are uniform."""

import keras
import numpy as np
import pytest

from keras_genimg.datasets import as_array, cluttered_digits, load


@pytest.fixture
def levels(write_set):
    """Write ten even digits of 4 by 4 pixels: digit `k` is `2 ** k // 4` all over."""
    images = np.array([2**k // 4 for k in range(10)], "uint8")
    images = images[:, None, None, None] * np.ones((4, 4, 1), "uint8")
    write_set("levels", images, (4, 4, 1), labels=np.arange(10))
    return images


def pixels_of(images):
    """Convert intensities back to integers in 0..255."""
    assert images.dtype == np.float32
    pixels = np.round(images * 255)
    np.testing.assert_array_equal(images, pixels / np.float32(255))
    return pixels.astype(int)


class TestDigits:
    @pytest.mark.parametrize("fixed", [False, True])
    def test_are_found_with_their_label(self, fixed):
        digits = as_array(load("digits", "test", labels=True))
        dataset = cluttered_digits("digits", "test", num_clutter=0, fixed=fixed)
        images, labels = as_array(dataset)
        assert images.shape == (300, 29, 29, 1)
        assert labels.shape == (300,) and labels.dtype == np.int32
        pixels, which = pixels_of(images), []
        for canvas, label in zip(pixels, labels, strict=True):
            rows, columns = (
                canvas.any((1, 2)).nonzero()[0],
                canvas.any((0, 2)).nonzero()[0],
            )
            matches = [
                k
                for y in range(max(0, rows[-1] - 7), min(rows[0], 21) + 1)
                for x in range(max(0, columns[-1] - 7), min(columns[0], 21) + 1)
                for k in np.flatnonzero(
                    (digits["images"] == canvas[y : y + 8, x : x + 8]).all((1, 2, 3))
                )
            ]
            assert len(matches) == 1 and digits["label"][matches[0]] == label
            which.append(matches[0])
        # Those of a test set come in turn, those of a training set at random.
        assert (which == list(range(300))) == fixed
        if not fixed:
            # 300 draws of 300 leave out about 1 / e of them.
            assert 160 < len(set(which)) < 220

    def test_fixed_come_in_turn_over_and_over(self):
        labels = as_array(load("digits", "test", labels=True))["label"]
        dataset = cluttered_digits("digits", "test", num_images=700, fixed=True)
        np.testing.assert_array_equal(as_array(dataset)[1], np.tile(labels, 3)[:700])

    def test_places_are_uniform(self, levels):
        kwargs = {"canvas_size": (5, 6), "num_clutter": 0, "num_images": 4000}
        images, labels = as_array(cluttered_digits("levels", seed=1, **kwargs))
        corners = np.argmax(images[labels > 1].reshape(-1, 30) > 0, axis=1)
        rows, columns = corners // 6, corners % 6
        counts = np.bincount(3 * rows + columns, minlength=6)
        expected = len(corners) / 6
        assert len(counts) == 6
        assert ((counts - expected) ** 2 / expected).sum() < 30
        counts = np.bincount(labels, minlength=10)
        assert ((counts - 400) ** 2 / 400).sum() < 37


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

    def test_count_and_size(self, write_set):
        # All pixels are 1, so that sums count what lies on one another.
        write_set(
            "ones", np.full((3, 6, 6, 1), 1, "uint8"), (6, 6, 1), labels=[1, 2, 3]
        )
        kwargs = {"canvas_size": 90, "clutter_size": (2, 3), "num_images": 50}
        images, _ = as_array(cluttered_digits("ones", num_clutter=5, **kwargs))
        ink = pixels_of(images).sum((1, 2, 3))
        np.testing.assert_array_equal(ink, np.full(50, 6 * 6 + 5 * 2 * 3))

    def test_is_cut_anywhere_and_lies_anywhere(self, write_set):
        # Pixel values are places in the digit, fragments are of one pixel.
        digit = np.arange(1, 7, dtype="uint8").reshape(2, 3, 1)
        write_set("places", [digit, digit], (2, 3, 1), labels=[0, 0])
        kwargs = {"canvas_size": (4, 5), "clutter_size": 1, "num_images": 3000}
        with_one, _ = as_array(
            cluttered_digits("places", num_clutter=1, fixed=True, **kwargs)
        )
        without, _ = as_array(
            cluttered_digits("places", num_clutter=0, fixed=True, **kwargs)
        )
        # Fragments do not disturb the draws of digits.
        fragments = pixels_of(with_one) - pixels_of(without)
        assert ((fragments > 0).sum((1, 2, 3)) == 1).all()
        cut_at = np.bincount(fragments.max((1, 2, 3)), minlength=7)[1:]
        assert ((cut_at - 500) ** 2 / 500).sum() < 30
        lies_at = (fragments > 0).sum(0).ravel()
        assert ((lies_at - 150) ** 2 / 150).sum() < 55

    def test_sums_are_clipped(self, write_set):
        write_set("light", np.full((2, 3, 3, 1), 90, "uint8"), (3, 3, 1), labels=[4, 5])
        kwargs = {"canvas_size": 3, "clutter_size": 3, "num_images": 9}
        images, _ = as_array(cluttered_digits("light", num_clutter=1, **kwargs))
        np.testing.assert_array_equal(pixels_of(images), np.full((9, 3, 3, 1), 180))
        images, _ = as_array(cluttered_digits("light", num_clutter=8, **kwargs))
        np.testing.assert_array_equal(images, np.ones((9, 3, 3, 1)))

    def test_defaults_are_in_proportion(self, write_set):
        digits = np.full((2, 28, 28, 3), 1, "uint8")
        write_set("like_mnist", digits, (28, 28, 3), labels=[0, 1])
        dataset = cluttered_digits("like_mnist", num_images=4)
        assert dataset.element_spec[0].shape == (None, 100, 100, 3)
        ink = pixels_of(as_array(dataset)[0]).sum((1, 2, 3))
        np.testing.assert_array_equal(ink, np.full(4, 3 * (28 * 28 + 8 * 8 * 8)))

    def test_mnist(self, mnist):
        dataset = cluttered_digits("mnist", "test", batch_size=64, fixed=True)
        assert dataset.cardinality() == 157
        digits = as_array(load("mnist", "test[:64]", batch_size=64, labels=True))
        images, labels = next(iter(dataset))
        assert images.shape == (64, 100, 100, 1)
        np.testing.assert_array_equal(labels, digits["label"])
        assert (images.numpy().sum((1, 2)) >= digits["images"].sum((1, 2)) / 256).all()


class TestPasses:
    def test_are_new_and_follow_the_seed(self):
        dataset = cluttered_digits("digits", "test", seed=7)
        again = cluttered_digits("digits", "test", seed=7)
        passes = [as_array(dataset) for _ in range(3)]
        assert len({image.tobytes() for data, _ in passes for image in data}) == 900
        for data in passes:
            np.testing.assert_equal(data, as_array(again))
        other = as_array(cluttered_digits("digits", "test", seed=8))
        assert (other[0] != passes[0][0]).any((1, 2, 3)).all()

    def test_fixed_depend_on_seed_and_position_alone(self):
        dataset = cluttered_digits("digits", "test", seed=5, fixed=True)
        images, labels = as_array(dataset)
        np.testing.assert_equal(as_array(dataset), (images, labels))
        keras.utils.set_random_seed(1)
        kwargs = {"seed": 5, "fixed": True, "batch_size": 77, "num_images": 150}
        fewer = as_array(cluttered_digits("digits", "test", **kwargs))
        np.testing.assert_equal(fewer, (images[:150], labels[:150]))
        other, _ = as_array(cluttered_digits("digits", "test", seed=6, fixed=True))
        assert (other != images).any((1, 2, 3)).all()

    def test_fit_takes_as_many_steps_as_there_are_batches(self):
        model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss)
        data = cluttered_digits("digits", "test", batch_size=128)
        assert data.cardinality() == 3
        model.fit(data, epochs=2, shuffle=False, verbose=0)
        assert model.optimizer.iterations == 6


@pytest.mark.parametrize(
    "kwargs",
    [
        {"canvas_size": 7},
        {"canvas_size": (7, 30)},
        {"num_clutter": -1},
        {"num_clutter": 1.5},
        {"clutter_size": 9},
        {"clutter_size": (2, 9)},
        {"clutter_size": 0},
        {"num_images": 0},
        {"batch_size": True},
        {"seed": 0.5},
        {"split": "validation"},
        {"batch_size": 6, "num_images": 5, "drop_remainder": True},
    ],
)
def test_error_names_what_was_received(kwargs):
    name, value = next(iter(kwargs.items()))
    with pytest.raises(ValueError) as error:
        cluttered_digits("digits", **kwargs)
    assert f"{name}={value!r}" in str(error.value)


def test_one_digit_has_no_others(write_set):
    write_set("single", np.ones((1, 4, 4, 1), "uint8"), (4, 4, 1), labels=[3])
    with pytest.raises(ValueError, match="other digits.*split='train'"):
        cluttered_digits("single")
    assert as_array(cluttered_digits("single", num_clutter=0))[1] == [3]


def test_labels_of_a_set_without(write_set):
    write_set("bare", np.zeros((2, 4, 4, 1), "uint8"), (4, 4, 1))
    with pytest.raises(ValueError, match="'bare' does not have.*'image'"):
        cluttered_digits("bare")
