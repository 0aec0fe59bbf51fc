"""Ranges of inputs: words, checks and metadata from the same numbers."""

import json

import numpy as np
import pytest
import tensorflow as tf

from genimg_export.probes import random_inputs, values_at_limits
from genimg_export.saved_graph import Signature
from keras_genimg.serving import Input
from keras_genimg.serving.endpoint import SEED, images_input

FLOATS = tf.TensorSpec((None,), tf.float32)
INTEGERS = tf.TensorSpec((None,), tf.int32)

INPUTS = {
    "integers from 0 to 2**62 - 1": SEED,
    "integers from 0 to 255": images_input((2, 2, 1)),
    "finite numbers above 0": Input(FLOATS, 0, low_open=True),
    "integers from 0 to 9": Input(INTEGERS, 0, 9),
    "finite numbers": Input(FLOATS),
    "integers": Input(INTEGERS),
    "integers above 0 and of at most 2": Input(INTEGERS, 0, 2, low_open=True),
    "integers of at least 3": Input(INTEGERS, 3),
    "integers of at most -3": Input(INTEGERS, None, -3),
    # The type has no larger one.
    "integers of at most 2**31 - 1": Input(INTEGERS, None, 2**31 - 1),
    "finite numbers from 0.5 to 1": Input(FLOATS, 0.5, 1),
    "finite numbers above 0 and of at most 0.5": Input(FLOATS, 0, 0.5, low_open=True),
    "finite numbers of at least 1e+30": Input(FLOATS, 1e30),
    # Limits computed by NumPy are no JSON values as they are.
    "integers from 3 to 9": Input(INTEGERS, np.int64(3), np.uint8(9)),
    "finite numbers from 1 to 3": Input(FLOATS, np.int32(1), np.int64(3)),
    "booleans": Input(tf.TensorSpec((None,), tf.bool)),
    "texts": Input(tf.TensorSpec((None,), tf.string)),
}


def values_in_range(name, dtype, metadata):
    """Return fifty random values for an input with these metadata."""
    inputs = {name: tf.TensorSpec((None,), dtype)}
    signature = Signature("some", inputs, {}, {"inputs": {name: metadata}})
    return random_inputs(signature, batch_size=50)[name]


@pytest.mark.parametrize("words", INPUTS)
def test_all_that_is_derived_agrees(words):
    given = INPUTS[words]
    assert given.requirement == words
    dtype = given.spec.dtype
    metadata = json.loads(json.dumps(given.metadata(), allow_nan=False))
    assert metadata == given.metadata()
    values = values_in_range("x", dtype, metadata)
    assert tf.reduce_all(given.in_range(tf.constant(values, dtype)))
    for value, accepted in values_at_limits(dtype, metadata).items():
        assert given.in_range(tf.constant([value], dtype)).numpy() == accepted, value


def test_values_at_the_limits_of_integers():
    probed = values_at_limits(tf.int32, Input(INTEGERS, 0, 9).metadata())
    assert probed == {-1: False, 0: True, 9: True, 10: False}


def test_metadata_without_numbers_are_not_probed():
    """Older exports have the range in words alone."""
    old = {"dtype": "int32", "shape": [None], "must_be": "integers from 0 to 9"}
    assert values_at_limits(tf.int32, old) == {}
    assert set(values_in_range("label", tf.int32, old)) == {0, 1}
    assert values_in_range("seed", tf.int64, {}).max() > 1000


@pytest.mark.parametrize(
    "spec, range_, text",
    [
        (INTEGERS, {"low": 0.5}, "`low`.*int32.*finite integer.*low=0.5"),
        (FLOATS, {"high": float("inf")}, "`high`.*finite number.*None for no limit"),
        (FLOATS, {"low": float("nan")}, "`low`.*low=nan"),
        (INTEGERS, {"low": 2, "high": 1}, "`low`.*must be below `high`.*low=2, high=1"),
        (FLOATS, {"low": 1, "high": 1, "low_open": True}, "must be below `high`"),
    ],
)
def test_impossible_ranges_are_refused(spec, range_, text):
    with pytest.raises(ValueError, match=text):
        Input(spec, **range_)
