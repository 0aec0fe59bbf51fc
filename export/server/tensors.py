"""Conversion between JSON lists and arrays that never changes a value silently."""

import base64
import binascii
import itertools

import numpy as np
import tensorflow as tf

from .errors import invalid

_JSON_NAMES = {
    int: "an integer",
    float: "a number with a fraction or an exponent",
    bool: "a boolean",
    str: "a string",
    dict: "an object",
    list: "a list",
    type(None): "null",
}


def to_array(value, dtype, where) -> np.ndarray:
    """Convert a JSON value to an array.

    Args:
        value: A scalar, or nested lists of equal lengths.
        dtype: `tf.DType` of the result.
        where: Name of the value for error texts.

    Returns:
        NumPy array; bytes in an object array for `tf.string`.

    Raises:
        ServingError: If lists are ragged, or a value is not one of `dtype`.
    """
    level, shape = [value], []
    while level and all(type(item) is list for item in level):
        lengths = set(map(len, level))
        if len(lengths) > 1:
            raise invalid(
                f"{where} is ragged: lists at level {len(shape) + 1} have "
                f"{', '.join(map(str, sorted(lengths)))} elements, and all must have "
                f"the same number"
            )
        shape.append(lengths.pop())
        level = list(itertools.chain.from_iterable(level))
    if any(type(item) is list for item in level):
        raise invalid(
            f"{where} is ragged: at level {len(shape) + 1} some elements are lists and "
            f"some are not"
        )
    return _flat_array(level, dtype, where).reshape(shape)


def _flat_array(values, dtype, where):
    if dtype == tf.string:
        array = np.empty(len(values), object)
        array[:] = [_to_bytes(value, where) for value in values]
        return array
    allowed = {int, float} if dtype.is_floating else {bool if dtype.is_bool else int}
    wrong = set(map(type, values)) - allowed
    if wrong:
        example = next(value for value in values if type(value) in wrong)
        raise invalid(
            f"{where} must be of type {dtype.name}. Received {_shown(example)}, "
            f"{_JSON_NAMES[type(example)]}"
        )
    if dtype.is_integer and values:
        for extreme in (min(values), max(values)):
            if not dtype.min <= extreme <= dtype.max:
                raise _out_of_range(extreme, dtype, where)
    try:
        array = np.asarray(values, np.float64 if dtype.is_floating else None)
    except OverflowError:  # An integer too large for a float.
        raise _out_of_range(max(values, key=abs), dtype, where) from None
    with np.errstate(over="ignore"):
        array = array.astype(dtype.as_numpy_dtype)
    if dtype.is_floating and not np.all(np.isfinite(array)):
        raise _out_of_range(values[np.argmin(np.isfinite(array))], dtype, where)
    return array


def _out_of_range(value, dtype, where):
    return invalid(
        f"{where} must be of type {dtype.name}, from {dtype.min} to {dtype.max}. "
        f"Received {_shown(value)}"
    )


def _to_bytes(value, where):
    if type(value) is dict and list(value) == ["b64"] and type(value["b64"]) is str:
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            raise invalid(
                f"Unable to base64 decode {_shown(value['b64'])} of {where}; use the "
                f"standard alphabet, with padding"
            ) from None
    if type(value) is not str:
        raise invalid(
            f'{where} must be of type string, as text or as {{"b64": "..."}}. '
            f"Received {_shown(value)}, {_JSON_NAMES[type(value)]}"
        )
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError:
        raise invalid(f"{where} has text that is not Unicode: {value!a}") from None


def to_json(array, name):
    """Convert an array to nested lists for JSON.

    Args:
        array: NumPy array.
        name: Name of the output; strings become `{"b64": ...}` if it ends in `_bytes`.

    Raises:
        ServingError: If a string is not UTF-8 text.
    """
    if array.dtype != object:
        return array.tolist()
    if name.endswith("_bytes"):
        convert = _base64_object
    else:

        def convert(value):
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                raise invalid(
                    f"Output {name} is binary, and JSON holds text. Outputs whose "
                    f"names end in _bytes are sent in base64."
                ) from None

    texts = np.empty(array.size, object)
    texts[:] = [convert(value) for value in array.reshape(-1)]
    return texts.reshape(array.shape).tolist()


def _base64_object(value):
    return {"b64": base64.b64encode(value).decode("ascii")}


def _shown(value):
    """Return a value for an error text, shortened if it is long."""
    if type(value) is int and abs(value) >= 10**40:
        return "an integer of more than 40 digits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
