"""Every change of a weight is detected, and graphs are freed with the weights."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.ops import fingerprint
from keras_genimg.ops.fingerprint import weights_fingerprint


def variables_of(dtype="float32"):
    shapes = [(3, 4), (), (5,)]
    return [keras.Variable(np.ones(shape), dtype=dtype) for shape in shapes]


@pytest.mark.parametrize(
    "dtype",
    [
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "float8_e4m3fn",
        "int8",
        "int32",
        "bool",
    ],
)
def test_each_value_counts(dtype):
    variables = variables_of(dtype)
    seen = {weights_fingerprint(variables)}
    for variable in variables:
        before = np.array(variable)
        for index in np.ndindex(before.shape):
            changed = before.copy()
            changed[index] = 0
            variable.assign(changed)
            seen.add(weights_fingerprint(variables))
        variable.assign(before)
    assert len(seen) == 1 + sum(
        variable.value.shape.num_elements() for variable in variables
    )
    assert weights_fingerprint(variables) in seen


def test_the_smallest_change_counts_and_none_does_not():
    (variable, *_) = variables = variables_of()
    before = weights_fingerprint(variables)
    variable.assign(variable * 1)
    assert weights_fingerprint(variables) == before
    variable.assign(np.nextafter(np.array(variable), np.float32(2)))
    assert weights_fingerprint(variables) != before


def test_values_that_change_places_count():
    first, second = keras.Variable([1.0, 2.0]), keras.Variable([3.0, 4.0])
    before = weights_fingerprint([first, second])
    assert weights_fingerprint([second, first]) != before
    assert weights_fingerprint([first]) != before
    first.assign([3.0, 4.0])
    second.assign([1.0, 2.0])
    assert weights_fingerprint([first, second]) != before


def test_a_replaced_variable_counts():
    variables = variables_of()
    before = weights_fingerprint(variables)
    variables[1] = keras.Variable(2.0)
    assert weights_fingerprint(variables) != before
    variables[1] = keras.Variable(1.0)
    assert weights_fingerprint(variables) == before


def test_plain_variables_and_none():
    variable = tf.Variable([1.0, 2.0])
    before = weights_fingerprint([variable])
    variable.assign_add([0.0, 1.0])
    assert weights_fingerprint([variable]) != before
    assert weights_fingerprint([]) == weights_fingerprint([])
    assert weights_fingerprint([tf.Variable(np.zeros((0, 2)))])


def test_inside_a_graph_it_is_that_of_the_moment():
    variables = variables_of()
    before = weights_fingerprint(variables)
    seen = []
    tf.function(lambda: seen.append(weights_fingerprint(variables)))()
    assert seen == [before]


def test_mirrored_variables():
    strategy = tf.distribute.MirroredStrategy(
        [device.name for device in tf.config.list_logical_devices("CPU")]
    )
    with strategy.scope():
        variables = variables_of()
    before = weights_fingerprint(variables)
    assert weights_fingerprint(variables) == before
    variables[0].assign(np.zeros((3, 4)))
    assert weights_fingerprint(variables) != before


def test_nothing_is_traced_again_and_nothing_stays():
    gc.collect()
    kept = len(fingerprint._functions)
    variables = variables_of()
    weights_fingerprint(variables)
    entry = fingerprint._functions[id(variables[0].value)]
    weights_fingerprint(variables)
    assert fingerprint._functions[id(variables[0].value)] is entry
    graph = weakref.ref(entry[1].graph)
    values = [weakref.ref(variable.value) for variable in variables]
    del entry, variables
    gc.collect()
    assert [value() for value in values] == [None, None, None]
    assert graph() is None and len(fingerprint._functions) == kept
