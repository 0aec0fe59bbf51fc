"""Data sets that prepare pixels for a likelihood."""

import numpy as np
import pytest

from keras_genimg.datasets import as_array, load, two_digits
from keras_genimg.likelihoods import Bernoulli, Categorical, Gaussian
from tests.likelihoods.coupled import PixelTable

INTENSITIES = {"intensities": True}
# Likelihood, and the arguments that it stands for in training.
CASES = [
    ("bernoulli", {"binarize": "dynamic"}),
    (Gaussian(), INTENSITIES),
    (Categorical(17), {"num_values": 17}),
    (PixelTable(5), {"num_values": 5}),
    pytest.param(Bernoulli(intensities=True), INTENSITIES, marks=pytest.mark.slow),
    pytest.param(Categorical(2), {"num_values": 2}, marks=pytest.mark.slow),
    pytest.param("categorical", {}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("likelihood, options", CASES)
def test_pixels_are_those_of_the_likelihood(likelihood, options):
    for fixed in (False, True):
        expected = dict(options)
        if fixed and "binarize" in options:
            expected["binarize"] = "fixed"
        split = "test" if fixed else "train"
        loaded = as_array(load("digits", split, likelihood=likelihood))
        again = as_array(load("digits", split, **expected))
        np.testing.assert_array_equal(loaded, again)
        assert loaded.dtype == again.dtype
    drawn = two_digits(num_images=9, fixed=True, likelihood=likelihood)
    again = two_digits(num_images=9, fixed=True, **expected)
    np.testing.assert_array_equal(as_array(drawn), as_array(again))


def test_a_test_set_is_the_same_at_each_pass_and_training_is_not():
    for split, same in (("train", False), ("test", True), ("all", True)):
        data = load("digits", split, likelihood=Bernoulli())
        assert (as_array(data) == as_array(data)).all() == same
    data = load("digits", "train", likelihood=Bernoulli(), binarize="fixed")
    np.testing.assert_array_equal(as_array(data), as_array(data))


def test_arguments_may_agree():
    load("digits", likelihood=Categorical(17), num_values=17)
    load("digits", likelihood=Categorical(256), num_values=256)
    load("digits", likelihood=Gaussian(), intensities=True)
    data = load("digits", likelihood=Categorical(2), binarize="dynamic")
    assert set(np.unique(as_array(data))) == {0, 1}


@pytest.mark.parametrize("make", [load, two_digits])
@pytest.mark.parametrize(
    "likelihood, other, asked",
    [
        (Categorical(17), {"num_values": 16}, "num_values=17"),
        (Categorical(17), {"num_values": 256}, "num_values=17"),
        (Categorical(17), {"binarize": "dynamic"}, "num_values=17"),
        (Categorical(256), INTENSITIES, "num_values=256"),
        ("bernoulli", {"num_values": 2}, "binarize='dynamic'"),
        ("bernoulli", INTENSITIES, "binarize='dynamic'"),
        (Gaussian(), {"binarize": "fixed"}, "intensities=True"),
        (Bernoulli(intensities=True), {"num_values": 256}, "intensities=True"),
    ],
)
def test_contradictions_are_refused(make, likelihood, other, asked):
    (name,) = other
    expected = f"asks for {asked}. Leave out `{name}`, or `likelihood`. Received: .*"
    with pytest.raises(ValueError, match=f"{expected}{name}={other[name]!r}"):
        make("digits", likelihood=likelihood, **other)


def test_more_values_than_8_bits_are_refused():
    with pytest.raises(ValueError, match="at most 256 values.*num_values=300"):
        load("digits", likelihood=Categorical(300))
    with pytest.raises(ValueError, match="A likelihood must be one of.*'logistic'"):
        load("digits", likelihood="logistic")
