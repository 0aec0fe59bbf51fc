"""Conversion between JSON lists and arrays that never changes a value silently."""

import base64

import numpy as np
import tensorflow as tf

from .errors import invalid


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
    array = np.array(value, object)  # Lists that do not fit stay values.
    values = array.ravel().tolist()
    if list in map(type, values):
        raise invalid(
            f"{where} is ragged: lists of one level differ in length, are next to "
            f"other values, or are nested too deep"
        )
    if dtype == tf.string:
        array.flat[:] = [_to_bytes(value, where) for value in values]
        return array
    allowed = {int, float} if dtype.is_floating else {bool if dtype.is_bool else int}
    wrong = set(map(type, values)) - allowed
    if wrong:
        example = next(value for value in values if type(value) in wrong)
        raise invalid(f"{where} must be of type {dtype.name}. Received {example!r:.80}")
    if not dtype.is_bool and values:
        # Python's numbers compare exactly.
        low, high = np.array([dtype.min, dtype.max], dtype.as_numpy_dtype).tolist()
        for extreme in (min(values), max(values)):
            if not low <= extreme <= high:
                raise invalid(
                    f"{where} must be of type {dtype.name}, from {low} to {high}. "
                    f"Received {extreme!r:.80}"
                )
    return array.astype(dtype.as_numpy_dtype)


def _to_bytes(value, where):
    if type(value) is dict and list(value) == ["b64"] and type(value["b64"]) is str:
        try:
            return base64.b64decode(value["b64"], validate=True)
        except ValueError:
            raise invalid(
                f"Unable to base64 decode {value['b64']!r:.80} of {where}; use the "
                f"standard alphabet, with padding"
            ) from None
    if type(value) is not str:
        raise invalid(
            f'{where} must be of type string, as text or as {{"b64": "..."}}. '
            f"Received {value!r:.80}"
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
    as_base64 = name.endswith("_bytes")

    def convert(value):
        if as_base64:
            return {"b64": base64.b64encode(value).decode("ascii")}
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise invalid(
                f"Output {name} is binary, and JSON holds text. Outputs whose names "
                f"end in _bytes are sent in base64."
            ) from None

    return np.asarray(np.frompyfunc(convert, 1, 1)(array)).tolist()
