"""Arbitrary bodies get a reply of 400, or arrays of exactly what was sent."""

import base64
import json
import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genimg_export.server.errors import ServingError
from genimg_export.server.models import LoadedModel
from genimg_export.server.predict import parse_call, render_reply
from genimg_export.server.tensors import to_array
from tests.export import plain_model
from tests.serving import planted

texts = st.text(max_size=4)
leaves = st.one_of(
    *(st.none(), st.booleans(), st.integers(-2, 300), st.integers(), texts),
    st.floats(allow_nan=False, allow_infinity=False),
    st.builds(lambda text: {"b64": text}, texts),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=2)
    ),
    max_leaves=6,
)


def refusal(call, *arguments):
    """Return None, or the text of a reply of 400. Other errors are passed on."""
    try:
        call(*arguments)
    except ServingError as error:
        assert error.status == 400 and error.message
        return error.message
    return None


def is_of_type(value, dtype):
    """Return whether a JSON value is one of a type, by the rules of the README."""
    if dtype == tf.string:
        if type(value) is dict:
            if list(value) != ["b64"] or type(value["b64"]) is not str:
                return False
            alphabet = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
            return re.fullmatch(alphabet, value["b64"]) is not None
        return type(value) is str and not re.search("[\ud800-\udfff]", value)
    if dtype.is_bool:
        return type(value) is bool
    if type(value) is not int and not (dtype.is_floating and type(value) is float):
        return False
    return int(dtype.min) <= value <= int(dtype.max)


def rectangle(value):
    """Return shape and leaves of nested lists, or None if they are ragged."""
    if type(value) is not list:
        return (), [value]
    parts = [rectangle(each) for each in value]
    if None in parts or len({shape for shape, _ in parts}) > 1:
        return None
    shape = parts[0][0] if parts else ()
    return (len(value), *shape), [leaf for _, leaves in parts for leaf in leaves]


DTYPES = [tf.dtypes.as_dtype(name) for name in plain_model.TYPES]


@given(value=values, dtype=st.sampled_from(DTYPES))
def test_values_become_arrays_if_all_are_of_the_type(value, dtype):
    found = rectangle(value)
    right = found is not None and all(is_of_type(each, dtype) for each in found[1])
    message = refusal(to_array, value, dtype, "input x")
    assert (message is None) == right
    if right:
        assert to_array(value, dtype, "input x").shape == found[0]
    else:
        assert "input x" in message


@given(
    array=st.sampled_from([d for d in DTYPES if d != tf.string]).flatmap(
        lambda dtype: hnp.arrays(
            dtype.as_numpy_dtype,
            hnp.array_shapes(min_dims=0, max_side=3),
            elements={"allow_nan": False, "allow_infinity": False}
            if dtype.is_floating
            else None,
        )
    )
)
def test_arrays_come_back_from_json(array):
    sent = json.loads(json.dumps(array.tolist()))
    received = to_array(sent, tf.as_dtype(array.dtype), "x")
    assert received.dtype == array.dtype
    np.testing.assert_array_equal(received, array)


@given(st.lists(st.binary(max_size=5), max_size=4))
def test_bytes_come_back_in_base64(contents):
    sent = [{"b64": base64.b64encode(each).decode()} for each in contents]
    assert to_array(sent, tf.string, "x").tolist() == contents
    array = np.array(contents, object)
    reply = json.loads(render_reply({"image_bytes": array}, len(contents)))
    assert reply == {"predictions": sent}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of two numbers and of a text, without a default signature."""
    path = tmp_path_factory.mktemp("arbitrary") / "1"
    numbers = [
        tf.TensorSpec((None, 2), tf.float32, "a"),
        tf.TensorSpec((None,), tf.int64, "b"),
    ]
    planted.save(
        path,
        {
            "numbers": (lambda a, b: {"a": a, "b": b}, numbers),
            "text": (plain_model.text, [tf.TensorSpec((None,), tf.string, "text")]),
        },
    )
    return LoadedModel(str(path))


requests = st.fixed_dictionaries(
    {},
    optional={
        "signature_name": st.one_of(st.sampled_from(["numbers", "text"]), leaves),
        "instances": st.one_of(
            values,
            st.lists(values, max_size=3),
            st.lists(
                st.fixed_dictionaries(
                    {"a": st.lists(leaves, max_size=3), "b": leaves},
                ),
                max_size=2,
            ),
        ),
        "inputs": st.one_of(
            values, st.fixed_dictionaries({}, optional={"a": values, "b": values})
        ),
        "other": values,
    },
)


@given(
    body=st.one_of(
        st.binary(max_size=20),
        values.map(lambda value: json.dumps(value).encode()),
        requests.map(lambda value: json.dumps(value).encode()),
        st.tuples(requests, st.integers(0, 80)).map(
            lambda pair: json.dumps(pair[0]).encode()[: pair[1]]
        ),
    )
)
def test_bodies(model, body):
    """What is taken has the names, types and shapes of the signature."""
    if refusal(parse_call, model, body) is not None:
        return
    name, inputs, num_examples = parse_call(model, body)
    specs = model.signature(name).inputs
    assert inputs.keys() == specs.keys()
    for key, array in inputs.items():
        spec = specs[key]
        assert tf.TensorShape(spec.tensor_shape).is_compatible_with(array.shape)
        numpy_dtype = tf.as_dtype(spec.dtype).as_numpy_dtype
        assert array.dtype == (object if numpy_dtype is object else numpy_dtype)
        assert num_examples in (None, len(array))


@given(
    a=st.lists(
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False),
            min_size=2,
            max_size=2,
        ),
        min_size=1,
        max_size=3,
    ),
    columns=st.booleans(),
    data=st.data(),
)
def test_right_bodies_are_taken(model, a, columns, data):
    int64 = st.integers(-(2**63), 2**63 - 1)
    b = data.draw(st.lists(int64, min_size=len(a), max_size=len(a)))
    content = {"signature_name": "numbers"}
    if columns:
        content["inputs"] = {"a": a, "b": b}
    else:
        pairs = zip(a, b, strict=True)
        content["instances"] = [{"a": x, "b": y} for x, y in pairs]
    body = json.dumps(content).encode()
    name, inputs, num_examples = parse_call(model, body)
    assert name == "numbers" and num_examples == (None if columns else len(a))
    np.testing.assert_array_equal(inputs["a"], np.float32(a))
    assert inputs["b"].tolist() == b
