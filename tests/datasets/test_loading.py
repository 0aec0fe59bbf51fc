"""Tests of keras_genimg.datasets on real digits and on sets written for the purpose."""

import socket
import sys
import time
import zlib
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from keras_genimg.datasets import READERS, as_array, from_arrays, load
from tests.by_chance import check_counts, check_uncorrelated


class TestDigits:
    def test_17_values_are_those_of_sklearn_in_the_documented_order(self):
        levels, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(1797).permutation(1797).astype("<i4")
        assert zlib.crc32(order.tobytes()) == 1978885512  # In every version of NumPy.
        loaded = as_array(load("digits", "all", num_values=17, labels=True))
        np.testing.assert_array_equal(
            loaded["images"], levels[order].reshape(-1, 8, 8, 1)
        )
        np.testing.assert_array_equal(loaded["label"], labels[order])
        assert loaded["label"].dtype == np.int32

    def test_splits_and_slices_part_the_whole(self):
        train, test = as_array(load("digits")), as_array(load("digits", "test"))
        assert (len(train), len(test)) == (1497, 300)
        assert train.dtype == np.uint8 and train.shape[1:] == (8, 8, 1)
        assert set(np.unique(train)) == {round(k * 255 / 16) for k in range(17)}
        whole = as_array(load("digits", "all"))
        np.testing.assert_array_equal(np.concatenate([train, test]), whole)
        part = as_array(load("digits", "train[-7:]+test[:1%]"))
        np.testing.assert_array_equal(part, whole[1490:1500])


class TestBatches:
    @pytest.mark.parametrize("labels, drop", [(True, False), (False, True)])
    def test_an_incomplete_last_batch_may_be_dropped(self, labels, drop):
        options = {"shuffle": True, "labels": labels, "drop_remainder": drop}
        dataset = load("digits", "test", batch_size=64, **options)
        sizes = [len(tf.nest.flatten(batch)[0]) for batch in dataset]
        assert sizes == [64] * 4 + ([] if drop else [44])
        assert dataset.cardinality() == len(sizes)
        spec = dataset.element_spec["images"] if labels else dataset.element_spec
        assert spec.shape == (64 if drop else None, 8, 8, 1)
        assert spec.dtype == tf.uint8

    def test_image_size(self):
        images = as_array(load("digits", "test")).astype(float)
        halved = as_array(load("digits", "test", image_size=(4, 8)))
        assert halved.shape == (300, 4, 8, 1) and halved.dtype == np.uint8
        # Antialiased by a triangle over four rows: weights 1, 3, 3, 1.
        rows = np.einsum("nkwc,k->nwc", images[:, 1:5], [1, 3, 3, 1]) / 8
        assert np.abs(halved[:, 1] - rows).max() <= 0.5 + 1e-3
        assert load("digits", image_size=5).element_spec.shape == (None, 5, 5, 1)


def pairs(data):
    """Return images and labels as pairs that can be compared whatever their order."""
    images = [image.tobytes() for image in data["images"]]
    return sorted(zip(images, data["label"].tolist(), strict=True))


class TestBinarize:
    def test_fixed_depends_on_seed_and_position_alone(self):
        kwargs = {"binarize": "fixed", "seed": 5, "labels": True}
        dataset = load("digits", "test", **kwargs)
        fixed = as_array(dataset)
        assert zlib.crc32(fixed["images"].tobytes()) == 195972610  # In every version.
        np.testing.assert_equal(as_array(dataset), fixed)
        keras.utils.set_random_seed(1)
        other_batches = load("digits", "test", batch_size=77, **kwargs)
        np.testing.assert_equal(as_array(other_batches), fixed)
        shuffled = load("digits", "test", shuffle=True, **kwargs)
        for _ in range(2):
            assert pairs(as_array(shuffled)) == pairs(fixed)
        other = as_array(load("digits", "test", binarize="fixed", seed=-1))
        assert (other != fixed["images"]).any()

    @pytest.mark.parametrize("binarize", ["fixed", "dynamic"])
    def test_probability_is_v_over_255(self, add_set, binarize):
        values = np.array([0, 1, 64, 128, 254, 255], "uint8")
        images = np.tile(values[None, :, None, None], (40, 1, 500, 1))
        add_set("levels", images)
        drawn = as_array(load("levels", binarize=binarize))
        assert set(np.unique(drawn)) == {0, 1}
        check_counts(drawn.sum(axis=(0, 2, 3)), 20000, values / 255)
        assert len(np.unique(drawn, axis=0)) == 40

    def test_dynamic_draws_are_exact_and_independent(self):
        """Draws of equal images of a batch, and of neighbors in an image, differ."""
        images = np.zeros((4, 1000, 1000, 1), "uint8")
        images += np.uint8([0, 255, 128, 128])[:, None, None, None]
        drawn = next(iter(from_arrays(images, binarize="dynamic"))).numpy()
        # An error of 1 / 65536 would change 15 pixels of each.
        assert not drawn[0].any() and drawn[1].all()
        first, second = drawn[2:].reshape(2, -1) - 128 / 255
        for shift in (0, 1, 2, 3, 4, 1000):
            pairs = [(first, np.roll(second, shift))]
            pairs += [(first, np.roll(first, shift))] if shift else []
            for one, other in pairs:
                check_uncorrelated([one, other])


class TestTfds:
    def test_num_values_rounds_to_nearest(self, add_set):
        values = np.arange(256, dtype="uint8").reshape(1, 16, 16, 1)
        add_set("all_values", values)
        for num_values in (2, 3, 4, 17, 128, 255):
            expected = np.round(values * (num_values - 1.0) / 255)
            loaded = as_array(load("all_values", num_values=num_values))
            assert loaded.dtype == np.uint8
            np.testing.assert_array_equal(loaded, expected)
        real = as_array(load("all_values", intensities=True))
        assert real.dtype == np.float32
        np.testing.assert_array_equal(real, values / np.float32(255))

    def test_positions_are_those_of_the_split(self, write_set):
        images = np.arange(40, dtype="uint8").reshape(40, 1, 1, 1)
        write_set("sharded", images, (1, 1, 1), num_shards=4)
        np.testing.assert_array_equal(as_array(load("sharded")), images)
        part = as_array(load("sharded", "train[15:35]"))
        np.testing.assert_array_equal(part, images[15:35])
        with pytest.raises(ValueError, match=r"one of \['train', 'all'\]"):
            load("sharded", "dev[:9]")
        with pytest.raises(ValueError, match=r"no examples.*split='train\[:0\]'"):
            load("sharded", "train[:0]")

    def test_prepared_sets_need_no_network(self, write_set, monkeypatch):
        refused = AssertionError("a prepared data set must load without a network")
        monkeypatch.setattr(socket.socket, "connect", mock.Mock(side_effect=refused))
        images = np.random.default_rng(0).integers(0, 2, (3, 28, 28, 1), "uint8")
        write_set("mnist", images, (28, 28, 1), version="3.0.1", labels=[7, 0, 9])
        loaded = as_array(load("mnist", labels=True))
        np.testing.assert_array_equal(loaded["images"], images)
        assert loaded["label"].tolist() == [7, 0, 9]
        # Stored as 0 and 1, which could not be seen.
        write_set("binarized_mnist", images, (28, 28, 1))
        np.testing.assert_array_equal(as_array(load("binarized_mnist")), images * 255)

    def test_sizes_that_differ_need_image_size(self, write_set):
        images = [np.full((4 + k, 5, 3), 10 * k, "uint8") for k in range(5)]
        write_set("odd_sizes", images, (None, None, 3))
        with pytest.raises(ValueError, match="Pass `image_size`"):
            load("odd_sizes")
        loaded = as_array(load("odd_sizes", image_size=(2, 3)))
        expected = np.arange(0, 50, 10)[:, None, None, None] * np.ones((5, 2, 3, 3))
        np.testing.assert_array_equal(loaded, expected)

    @pytest.mark.parametrize(
        "name, labels, text",
        [
            ("bare", True, "'bare' does not have.*'image'"),
            ("photo_patches", True, "'photo_patches' has none.*labels=True"),
            ("glue", False, "'glue' must have a feature 'image'"),
            ("mnsit", False, "'mnsit'. Did you mean.*'mnist'"),
        ],
    )
    def test_sets_that_are_refused(self, name, labels, text, write_set):
        write_set("bare", np.zeros((1, 2, 2, 1), "uint8"), (2, 2, 1))
        with pytest.raises(ValueError, match=text):
            load(name, labels=labels)

    def test_a_folder_of_that_name_is_named_before_similar_names(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        for name in ("icons", "my-icons"):  # The second is no name of tfds.
            (tmp_path / name).mkdir()
            with pytest.raises(ValueError, match=rf"pass pathlib.Path\('{name}'\)"):
                load(name)

    def test_without_a_network_all_ways_are_named_at_once(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # Refuses connections.
        began = time.monotonic()
        with pytest.raises(FileNotFoundError) as error:
            load("mnist")
        assert time.monotonic() - began < 20
        ways = ("TFDS_DATA_DIR", str(tmp_path), "pathlib.Path", "'digits'", "refused")
        for way in ways:
            assert way in str(error.value)


@pytest.mark.parametrize(
    "package, name, extra",
    [
        ("sklearn.datasets", "digits", "examples"),
        ("sklearn.datasets", "photo_patches", "photos"),
        ("skimage", "photo_patches", "photos"),
    ],
)
def test_missing_packages_name_the_extra(package, name, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'pip install "\.\[{extra}\]"'):
        load(name)


def test_as_array_refuses_empty_and_endless():
    dataset = load("digits", "test")
    with pytest.raises(ValueError, match="no elements"):
        as_array(dataset.take(0))
    with pytest.raises(ValueError, match="finite"):
        as_array(dataset.repeat())


def test_a_reader_of_your_own_joins(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 4, 1), "uint8")
    mine = {"train": {"images": images, "label": np.arange(9)}}
    monkeypatch.setitem(READERS, "mine", lambda: mine)
    data = as_array(load("mine", "train[2:]", labels=True))
    np.testing.assert_array_equal(data["images"], images[2:])
    np.testing.assert_array_equal(data["label"], np.arange(2, 9))
    assert load("mine", image_size=(6, 5)).element_spec.shape == (None, 6, 5, 1)
    before = load("mine").epochs.description
    mine["train"] = {"images": images[::-1], "label": np.arange(9)}
    assert load("mine").epochs.description != before
    mine["train"] = {"images": images / 255}
    with pytest.raises(ValueError, match="Images of mine must be uint8.*float64"):
        load("mine")
    with pytest.raises(ValueError, match="Did you mean 'mine'"):
        load("minee")


class TestFromArrays:
    @pytest.mark.parametrize(
        "options",
        [
            {"num_values": 17, "batch_size": 30, "drop_remainder": True},
            {"crop_size": 5, "random_crop": True, "shuffle": True, "seed": 3},
            {"random_flip": True, "seed": 3},
            {"likelihood": "bernoulli", "shuffle": True},
            {"binarize": "fixed"},
            {"intensities": True},
        ],
        ids=str,
    )
    def test_gives_what_load_gives(self, options):
        digits = as_array(load("digits", "train[:100]", labels=True))
        found = from_arrays(digits["images"], digits["label"], **options)
        expected = load("digits", "train[:100]", labels=True, **options)
        assert found.element_spec == expected.element_spec
        np.testing.assert_equal(as_array(found), as_array(expected))

    def test_images_alone_and_what_tells_them_from_others(self):
        images = as_array(load("digits", "test"))
        data = from_arrays(images)
        np.testing.assert_array_equal(as_array(data), images)
        description = data.epochs.description
        assert from_arrays(images).epochs.description == description
        assert from_arrays(images[::-1]).epochs.description != description
        assert from_arrays(images, seed=1).epochs.description != description

    @pytest.mark.parametrize(
        "images, options, text",
        [
            (np.zeros((3, 4, 4), "uint8"), {}, r"Received: shape=\(3, 4, 4\)"),
            (None, {}, "must be uint8.*dtype=object"),
            (np.zeros((3, 4, 4, 1)), {}, "must be uint8.*dtype=float64"),
            (np.zeros((0, 4, 4, 1), "uint8"), {}, r"shape=\(0, 4, 4, 1\)"),
            (np.zeros((3, 4, 4, 1), "uint8"), {"labels": [1, 2]}, r"shape=\(2,\)"),
            (np.zeros((3, 4, 4, 1), "uint8"), {"labels": [0.5] * 3}, "dtype=float64"),
            (np.zeros((3, 4, 4, 1), "uint8"), {"labels": [2**40] * 3}, "32 bits"),
            (np.zeros((3, 4, 4, 1), "uint8"), {"batch_size": 0}, "batch_size=0"),
            (np.zeros((3, 4, 4, 1), "uint8"), {"crop_size": 5}, r"crop_size=\(5, 5\)"),
        ],
    )
    def test_bad_arguments_are_refused(self, images, options, text):
        with pytest.raises(ValueError, match=text):
            from_arrays(images, **options)
