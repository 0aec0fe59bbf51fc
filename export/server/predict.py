"""Conversion of predict requests to arrays, and of outputs to replies."""

import gc
import json

import tensorflow as tf

from .errors import invalid
from .tensors import to_array, to_json

_KEYS = ("signature_name", "instances", "inputs")


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
        raise invalid(f"Unknown keys {unknown}; a request has {', '.join(_KEYS)}")
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
        content = dict(pairs)
        if len(content) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"key {twice!r:.80} occurs twice")
        return content

    # Otherwise the collector walks the growing lists again and again, beside all that
    # TensorFlow holds: 4 MiB of lists took 1.4 s, in which no other thread runs.
    gc.disable()
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_constant=refuse_constant,
            object_pairs_hook=without_duplicates,
        )
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
        _check_names(instance, names, f"instances[{index}]")
    return {name: [instance[name] for instance in instances] for name in names}


def _columns(inputs, names):
    """Return a value by input name, from the column format."""
    if len(names) == 1 and not _is_named(inputs, names):
        return {names[0]: inputs}
    _check_names(inputs, names, "inputs")
    return inputs


def _is_named(value, names):
    """Return whether a value is an object of inputs rather than a base64 string."""
    return type(value) is dict and (list(value) != ["b64"] or names == ["b64"])


def _check_names(given, names, where):
    found = sorted(given) if type(given) is dict else None
    if found != names:
        raise invalid(
            f"{where} must be an object with the keys {', '.join(names)}. Received: "
            f"{type(given).__name__ if found is None else ', '.join(found)[:200]}"
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
