"""Conversion of predict requests to arrays, and of outputs to replies."""

import gc
import json

import tensorflow as tf

from .errors import invalid
from .tensors import to_array, to_json

_KEYS = ("signature_name", "instances", "inputs")
_BLANKS = " \t\r\n"


def parse_call(model, body):
    """Parse the body of a request.

    Args:
        model: `LoadedModel`.
        body: Bytes of the request's body.

    Returns:
        `(signature_name, inputs, num_examples)`: the name of a signature; NumPy arrays
        by name; and the number of instances in the row format, `instances` and
        `predictions`, or None in the column format, `inputs` and `outputs`.

    Raises:
        ServingError: If the body is invalid.
    """
    content = _parse_json(body)
    if type(content) is not dict:
        raise invalid('The request body must be an object: {"instances": [...]}')
    unknown = [key for key in content if key not in _KEYS]
    if unknown:
        names = ", ".join(map(repr, unknown))[:200]
        raise invalid(f"Unknown keys {names}; a request has {', '.join(_KEYS)}")
    if ("instances" in content) == ("inputs" in content):
        raise invalid(
            "The request must have either instances (the row format) or inputs (the "
            "column format), and not both"
        )
    name = content.get("signature_name", "serving_default")
    if type(name) is not str:
        raise invalid(f"signature_name must be a string. Received {name!r:.80}")
    signature = model.signature(name)
    names = sorted(signature.inputs)
    if "instances" in content:
        columns = _columns_of_instances(content["instances"], names)
        num_examples = len(content["instances"])
    else:
        columns, num_examples = _columns(content["inputs"], names), None
    inputs = {
        key: _checked_array(columns[key], info, key)
        for key, info in signature.inputs.items()
    }
    return name, inputs, num_examples


def _parse_json(body):
    """Parse a JSON text; refuse NaN, infinities and duplicate keys."""

    def refuse_constant(name):
        raise ValueError(f"{name} is not a JSON number")

    def without_duplicates(pairs):
        content = {}
        for name, value in pairs:
            if name in content:
                raise ValueError(f"key {name!r:.80} occurs twice")
            content[name] = value
        return content

    # Otherwise the collector walks the growing lists again and again, beside all that
    # TensorFlow holds: 4 MiB of lists took 1.4 s, in which no other thread runs.
    gc.disable()
    try:
        # TensorFlow Serving too ignores what comes after the first value.
        decoder = json.JSONDecoder(
            parse_constant=refuse_constant, object_pairs_hook=without_duplicates
        )
        return decoder.raw_decode(body.decode("utf-8").lstrip(_BLANKS))[0]
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {error}") from None
    finally:
        gc.enable()


def _columns_of_instances(instances, names):
    """Return a list of values by input name, from the row format."""
    if type(instances) is not list:
        raise invalid("instances must be a list with one element per example")
    if not instances:
        raise invalid("No values in 'instances' array")
    if len(names) == 1 and not any(_is_named(value, names) for value in instances):
        return {names[0]: instances}
    for index, instance in enumerate(instances):
        if type(instance) is not dict or sorted(instance) != names:
            raise _wrong_names(instance, names, f"instances[{index}]")
    return {name: [instance[name] for instance in instances] for name in names}


def _columns(inputs, names):
    """Return a value by input name, from the column format."""
    if len(names) == 1 and not _is_named(inputs, names):
        return {names[0]: inputs}
    # TensorFlow Serving too ignores further names in this format.
    if type(inputs) is not dict or not inputs.keys() >= set(names):
        raise _wrong_names(inputs, names, "inputs")
    return inputs


def _is_named(value, names):
    """Return whether a value is an object of inputs rather than a base64 string."""
    return type(value) is dict and (list(value) != ["b64"] or names == ["b64"])


def _wrong_names(given, names, where):
    """Return the error for inputs that have other names than those of a signature."""
    is_object = type(given) is dict
    found = ", ".join(sorted(given))[:200] if is_object else type(given).__name__
    return invalid(
        f"{where} must be an object with the keys {', '.join(names)}. Received: {found}"
    )


def _checked_array(value, info, name):
    """Return a column as an array of the type and shape that the signature takes."""
    array = to_array(value, tf.as_dtype(info.dtype), name)
    expected = tf.TensorShape(info.tensor_shape)
    if not expected.is_compatible_with(array.shape):
        sizes = ["?" if size is None else str(size) for size in expected.as_list()]
        raise invalid(
            f"{name} has the shape [{','.join(map(str, array.shape))}], and the "
            f"signature takes [{','.join(sizes)}], where ? is the number of examples "
            f"or any size"
        )
    return array


def render_reply(outputs, num_examples):
    """Return the JSON text of a reply, as bytes.

    Args:
        outputs: NumPy arrays by name.
        num_examples: As returned by `parse_call`.

    Raises:
        ServingError: If the reply has the row format and an output does not have one
            value per example.
    """
    names = sorted(outputs)
    row_format = num_examples is not None
    if row_format:
        for name in names:
            size = outputs[name].shape[0] if outputs[name].ndim else None
            if size != num_examples:
                raise invalid(
                    f"Tensor name: {name} has inconsistent batch size: {size} "
                    f'expecting: {num_examples}. Send "inputs" instead of "instances"'
                )
    columns = {name: to_json(outputs[name], name) for name in names}
    if len(names) == 1:
        reply = columns[names[0]]
    elif row_format:
        reply = [
            dict(zip(names, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]
    else:
        reply = columns
    key = "predictions" if row_format else "outputs"
    return json.dumps({key: reply}, separators=(",", ":")).encode("ascii")
