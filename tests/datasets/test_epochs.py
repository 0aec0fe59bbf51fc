"""Epochs are functions of seed, epoch and position."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.datasets import as_array, batches, cluttered_digits, load, two_digits
from keras_genimg.datasets.epochs import make_epochs
from tests.by_chance import check_shares
from tests.seldom import slow_but


@pytest.fixture
def numbered(add_set):
    """Write 50 images of one pixel, whose value is the position."""
    add_set("numbered", np.arange(50, dtype="uint8").reshape(50, 1, 1, 1))


digits = partial(load, "digits", "test", batch_size=64)
SETS = {
    "plain": digits,
    "shuffled": partial(digits, shuffle=True),
    "binarized": partial(digits, binarize="dynamic"),
    "cropped": partial(digits, crop_size=5, random_crop=True),
    "flipped": partial(digits, random_flip=True),
    "dropped": partial(digits, shuffle=True, binarize="dynamic", drop_remainder=True),
    "cluttered": partial(cluttered_digits, "digits", "test", batch_size=48),
    "pairs": partial(two_digits, "digits", "test", batch_size=77, binarize="dynamic"),
}
RANDOM = [name for name in SETS if name != "plain"]


def pixels(dataset):
    return [tf.nest.flatten(batch)[0].numpy() for batch in dataset]


BLOCK_BYTES = "keras_genimg.datasets.epochs.BLOCK_BYTES"


@pytest.mark.parametrize("name", slow_but(SETS, "dropped", "pairs"))
def test_an_epoch_begins_at_any_batch(name, monkeypatch):
    monkeypatch.setattr(BLOCK_BYTES, 64 * 64 * 2)  # Two batches.
    epochs = SETS[name]().epochs
    epoch, start = tf.Variable(5, dtype=tf.int64), tf.Variable(0, dtype=tf.int64)
    dataset = epochs.read(epoch, start)
    assert dataset.cardinality() == epochs.num_batches
    # Freeing an iterator waits for the thread that tunes it, up to seconds.
    assert dataset.options().autotune.enabled is False
    whole = pixels(dataset)
    for position in (1, epochs.num_batches - 1):
        start.assign(position)
        rest = dataset.take(epochs.num_batches - position)
        np.testing.assert_equal(pixels(rest), whole[position:])
    # Another object reads the same; the next epoch is another one.
    np.testing.assert_equal(pixels(SETS[name]().epochs.read(5)), whole)
    epoch.assign(6), start.assign(0)
    other = np.concatenate(pixels(dataset))
    assert (other != np.concatenate(whole)).any() == (name != "plain")


@pytest.mark.parametrize("name", slow_but(RANDOM, "shuffled", "cropped"))
def test_passes_are_new_and_follow_the_seed(name):
    make = SETS[name]

    def read(dataset):
        return np.concatenate(pixels(dataset))

    dataset, again, other = make(seed=7), make(seed=7), make(seed=8)
    passes = [read(dataset) for _ in range(2)]
    assert (passes[0] != passes[1]).any()
    np.testing.assert_equal([read(again) for _ in range(2)], passes)
    assert (read(other) != passes[0]).any()
    first, second = np.split(read(again.repeat(2)), 2)
    assert (first != second).any()
    keras.utils.set_random_seed(1)
    assert (read(make(seed=7)) != passes[0]).any()


@pytest.mark.parametrize("max_bytes", [2**29, 13], ids=["memory", "windows"])
def test_each_image_comes_once_an_epoch(numbered, monkeypatch, max_bytes):
    monkeypatch.setattr(batches, "MAX_BYTES", max_bytes)
    monkeypatch.setattr(BLOCK_BYTES, 8)  # Two batches.
    dataset = load("numbered", batch_size=4, shuffle=True, seed=1)
    orders = [as_array(dataset.epochs.read(epoch)).ravel() for epoch in range(2)]
    orders += [as_array(dataset).ravel() for _ in range(2)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(50))
    assert len({order.tobytes() for order in [*orders, np.arange(50, dtype="u1")]}) == 5
    other = load("numbered", batch_size=4, shuffle=True, seed=2)
    assert (as_array(other.epochs.read(0)).ravel() != orders[0]).any()
    if max_bytes == 13:  # Windows of three batches.
        windows = np.split(np.sort(orders[0][:48].reshape(-1, 12)), 4)
        np.testing.assert_array_equal(np.concatenate(windows).ravel(), np.arange(48))
        rest = dataset.epochs.read(0, 7).take(6)
        np.testing.assert_array_equal(as_array(rest).ravel(), orders[0][28:])


def test_blocks_of_batches(add_set, monkeypatch):
    """Their size changes neither order nor batches, and no two share their bits."""
    add_set("gray", np.full((50, 8, 8, 1), 128, "uint8"))
    numbers = tf.range(50, dtype=tf.int64)
    orders, bits, starts = [], [], []

    def finish(block, key, index):
        tf.py_function(lambda k: starts.append(int(k)), [index], [])
        return block

    for block_batches in (3, 100):
        monkeypatch.setattr(BLOCK_BYTES, 8 * 8 * block_batches)
        starts.clear()
        epochs = make_epochs(
            None, 50, 8, in_memory=numbers, finish=finish, shuffle_within=50
        )
        orders.append(pixels(epochs.read(0)))
        assert sorted(starts) == list(range(0, 7, block_batches))
        monkeypatch.setattr(BLOCK_BYTES, 8 * 64 * block_batches)
        epochs = load("gray", batch_size=8, shuffle=True, binarize="dynamic").epochs
        bits.append(np.concatenate(pixels(epochs.read(0))))
    assert [len(batch) for batch in orders[0]] == [8] * 6 + [2]
    np.testing.assert_equal(*orders)
    for drawn in bits:  # Two images of 64 bits do not agree by chance.
        assert len(np.unique(drawn, axis=0)) == 50


def test_endless_epochs_are_whole_and_new(numbered):
    dataset = load("numbered", batch_size=4, shuffle=True)
    epochs = dataset.epochs
    endless = epochs.endless()
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    for each in (dataset, endless):
        assert each.options().autotune.enabled is False
    read = np.concatenate(pixels(endless.take(3 * epochs.num_batches))).ravel()
    orders = np.split(read, 3)
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(50))
    again = np.concatenate(pixels(epochs.endless().take(epochs.num_batches))).ravel()
    assert len({order.tobytes() for order in [*orders, again]}) == 4


def test_every_order_is_as_likely():
    arrays = np.arange(3)
    epochs = make_epochs(
        None, 3, 3, in_memory=tf.constant(arrays), shuffle_within=3, seed=0
    )
    keys = tf.data.Dataset.range(600)
    batches_of_all = keys.flat_map(lambda epoch: epochs.begin(tf.stack([0, epoch]), 0))
    orders = [*batches_of_all.as_numpy_iterator()]
    _, numbers = np.unique(orders, axis=0, return_inverse=True)
    check_shares(numbers.ravel(), np.ones(6))
