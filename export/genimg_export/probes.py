"""Requests that a signature must answer, and requests that it must refuse."""

import math

import numpy as np
import tensorflow as tf

from .clean_process import Request
from .saved_graph import is_batched

NUM_EXAMPLES = 3  # A batch has this many.
REFUSED = "INVALID_ARGUMENT"
UNKNOWN_SIZE = 4  # Axes of any size get this size.
# Numbers without limits in the metadata are taken from these ranges. Older exports and
# SavedModels of other libraries state none. The ranges suit all inputs of this library.
DEFAULT_RANGES = {"seed": (0, 2**31 - 1)}
DEFAULT_RANGE = (0, 1)


def right_requests(signature, seed=0):
    """Return requests of random examples, which must be answered.

    First a batch, then each of its examples alone, then one of them among others.

    Args:
        signature: A `Signature`.
        seed: Seed of the values.
    """
    size = _num_examples(signature)
    batch, middle = list(range(size)), size // 2
    examples = random_inputs(signature, 2 * size, seed)
    requests = []

    def add(rows, text, kind="part"):
        inputs = {key: values[rows] for key, values in examples.items()}
        requests.append(Request(signature, inputs, kind, text, rows=rows))

    add(batch, signature.name, "batch")
    for i in batch:
        add([i], f"example {i} alone")
    changed = [i if i == middle else size + i for i in batch]
    add(changed, "an example among others")
    return requests


def wrong_requests(signature):
    """Return requests with values at limits, and with wrong shapes.

    In a batch, the last example has one value at a limit or outside of it; or an input
    has a wrong shape.

    Args:
        signature: A `Signature`.
    """
    few = min(2, _num_examples(signature))
    right = random_inputs(signature, few)
    requests = []

    def add(kind, name, text, values, status=REFUSED):
        inputs, text = {**right, name: values}, f"{signature.name}: {name} of {text}"
        requests.append(Request(signature, inputs, kind, text, status))

    for name, spec in signature.inputs.items():
        limits = values_at_limits(spec.dtype, signature.described(name))
        for value, accepted in limits.items():
            values = right[name].copy()
            values.flat[-1] = value
            add("value", name, value, values, "OK" if accepted else REFUSED)
        for shape in wrong_shapes(signature, name, few):
            add("shape", name, f"shape {list(shape)}", np.resize(right[name], shape))
    return requests


def _num_examples(signature):
    """Return the size of the batch of a signature."""
    return min(NUM_EXAMPLES, signature.metadata.get("max_examples", NUM_EXAMPLES))


def random_inputs(signature, batch_size, seed=0):
    """Return random arrays by name of input that a signature accepts.

    Args:
        signature: A `Signature`.
        batch_size: Size of the batch.
        seed: Seed of the values.
    """
    generator = np.random.default_rng(seed)
    arrays = {}
    for name, spec in signature.inputs.items():
        described, shape = signature.described(name), _full_shape(spec, batch_size)
        low, high = described.get("low"), described.get("high")
        if low is None and high is None:
            low, high = DEFAULT_RANGES.get(name, DEFAULT_RANGE)
        low = high - 1 if low is None else low
        high = low + 1 if high is None else high
        if spec.dtype == tf.string:
            texts = [b"text %d" % i for i in range(math.prod(shape))]
            values = np.reshape(np.array(texts, object), shape)
        elif spec.dtype == tf.bool:
            values = generator.random(shape) < 0.5
        elif spec.dtype.is_floating:
            # Values close to an open limit can be rounded to it, so they are left out.
            size = high - low
            values = generator.uniform(low + size / 4, high - size / 8, shape)
        else:
            low += described.get("low_open", False)
            values = generator.integers(low, high, shape, endpoint=True)
        arrays[name] = values.astype(spec.dtype.as_numpy_dtype)
    return arrays


def values_at_limits(dtype, described):
    """Return values at both ends of an input's range and just outside of it.

    Args:
        dtype: `tf.DType` of the input.
        described: Metadata of the input, see `Input.metadata`; may be empty.

    Returns:
        Dict of whether the value must be accepted, by value. Empty if the metadata
        state no range.
    """
    accepted = {}
    for end, step in (("low", -1), ("high", 1)):
        limit = described.get(end)
        if limit is None:
            continue
        accepted[limit] = not described.get(f"{end}_open", False)
        if dtype.is_floating:  # 1 may be less than the distance of two floats.
            step *= max(1, float(np.spacing(dtype.as_numpy_dtype(abs(limit)))))
        if dtype.min <= limit + step <= dtype.max:
            accepted[limit + step] = False
    if dtype.is_floating and described.get("finite"):
        accepted.update({np.nan: False, np.inf: False, -np.inf: False})
    return accepted


def wrong_shapes(signature, name, batch_size):
    """Return shapes that an input must not have, as a list of tuples.

    Args:
        signature: A `Signature`.
        name: Name of the input.
        batch_size: Batch size of the other inputs.
    """
    expected = signature.inputs[name].shape
    full = _full_shape(signature.inputs[name], batch_size)
    sizes = full[1:]
    candidates = [
        (0,),  # A client sends `[]` for it in JSON.
        (),
        full[:-1],
        sizes,
        (*full, 1),
        (1, *full),
        (1, 1),
        (0, *sizes),
        (*full[:-1], 0),
        (batch_size, math.prod(sizes)),
        full[::-1],
        *((*full[:i], full[i] + 1, *full[i + 1 :]) for i in range(1, len(full))),
        (batch_size + 1, *sizes),
    ]
    # A lone input may have a batch of any size but 0.
    alone = len(signature.inputs) == 1
    return [
        shape
        for shape in dict.fromkeys(candidates)
        if not expected.is_compatible_with(shape)
        or (shape[0] != batch_size and not (alone and shape[0]))
    ]


def _full_shape(spec, batch_size):
    """Return a spec's shape with `batch_size` for the batch, as a tuple."""
    known = spec.shape.as_list() if spec.shape.rank else []
    sizes = [UNKNOWN_SIZE if size is None else size for size in known]
    return (batch_size, *sizes[1:]) if is_batched(spec) else tuple(sizes)
