"""Data sets that prepare pixels for a likelihood."""

import functools

import numpy as np
import pytest

from keras_genimg.datasets import as_array, load, two_digits
from keras_genimg.likelihoods import Bernoulli, Categorical, Gaussian
from tests.likelihoods.coupled import PixelTable

INTENSITIES = {"intensities": True}


def load_of(split, **options):
    return functools.partial(load, "digits", split, **options)


drawn = functools.partial(two_digits, num_images=9, fixed=True)


@pytest.mark.parametrize(
    "make, likelihood, options",
    [
        (load_of("train[:50]"), "bernoulli", {"binarize": "dynamic"}),
        (load_of("all"), "bernoulli", {"binarize": "fixed"}),
        (drawn, "bernoulli", {"binarize": "fixed"}),
        (load_of("train[:50]", binarize="fixed"), Bernoulli(), {}),
        (load_of("test"), Gaussian(), INTENSITIES),
        (drawn, Gaussian(), INTENSITIES),
        (load_of("test"), Bernoulli(intensities=True), INTENSITIES),
        (load_of("test"), Categorical(17), {"num_values": 17}),
        (load_of("test"), Categorical(2), {"num_values": 2}),
        (load_of("test"), "categorical", {}),
        (load_of("test"), PixelTable(5), {"num_values": 5}),
    ],
)
def test_pixels_are_those_of_the_likelihood(make, likelihood, options):
    found, expected = as_array(make(likelihood=likelihood)), as_array(make(**options))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


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
    ((name, value),) = other.items()
    text = f"asks for {asked}. Leave out `{name}`.* Received: .*{name}={value!r}"
    with pytest.raises(ValueError, match=text):
        make("digits", likelihood=likelihood, **other)


def test_more_values_than_8_bits_are_refused():
    with pytest.raises(ValueError, match="at most 256 values.*num_values=300"):
        load("digits", likelihood=Categorical(300))
    with pytest.raises(ValueError, match="A likelihood must be one of.*'logistic'"):
        load("digits", likelihood="logistic")
