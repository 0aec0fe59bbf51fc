"""Inputs to try a signature with: right ones and wrong ones."""

import math
import re

import numpy as np
import tensorflow as tf

NUM_WRONG_SHAPES = 9
UNKNOWN_SIZE = 4  # Stands in for a size that a signature leaves open.
ROWS = 3
DEFAULTS = {"serving_default": "sample"}  # Named twice, described once.


def example_inputs(signature, described, rows, seed=0):
    """Return arrays by name of input, one row an image, within the stated range.

    Args:
        signature: A `Signature`.
        described: What the metadata says of its inputs, a dict that may be empty.
        rows: Size of the batch.
        seed: Seed of the values.
    """
    generator = np.random.default_rng(seed)
    return {
        name: _values(
            name,
            tensor.dtype,
            full_shape(tensor, rows),
            described.get(name, {}).get("must_be"),
            generator,
        )
        for name, tensor in signature.inputs.items()
    }


def described_inputs(metadata, name):
    """Return what metadata say of a signature's inputs, a dict that may be empty.

    Args:
        metadata: Those of a SavedModel, a dict that may be empty.
        name: Name of the signature.
    """
    signatures = metadata.get("signatures", {})
    return signatures.get(DEFAULTS.get(name, name), {}).get("inputs", {})


def full_shape(tensor, rows):
    """Return a tensor's shape with `rows` for the batch, as a tuple."""
    sizes = [UNKNOWN_SIZE if size is None else size for size in tensor.shape or ()]
    return (rows, *sizes[1:]) if tensor.batched else tuple(sizes)


def wrong_shapes(signature, name, rows=2):
    """Return nine shapes that an input must not have, as a list of tuples.

    Args:
        signature: A `Signature`.
        name: Name of the input.
        rows: Size of the batch that the other inputs have.
    """
    tensor = signature.inputs[name]
    full = full_shape(tensor, rows)
    sizes = full[1:]
    wider = [(*full[:i], full[i] + 1, *full[i + 1 :]) for i in range(1, len(full))]
    candidates = [
        (0,),  # `[]` in JSON.
        (),
        full[:-1],
        sizes,
        (*full, 1),
        (0, *sizes),
        *wider[:1],
        (rows, *sizes[1:2], *sizes[:1], *sizes[2:]),
        *wider[-1:],
        (1, *full),
        (*full, 1, 1),
        (rows, math.prod(sizes)),
        (*full[:-1], 0),
        full[::-1],
        *([(rows + 1, *sizes)] if len(signature.inputs) > 1 else []),
        *wider,
        (*full, rows),
        (0, 1),
        (1, 1),
        (1, rows, 1),
    ]
    candidates = dict.fromkeys(candidates)
    return [shape for shape in candidates if not _fits(shape, tensor.shape, rows)][
        :NUM_WRONG_SHAPES
    ]


def wrong_value(dtype, shape):
    """Return an array whose values no range check refuses."""
    if dtype == tf.string:
        return np.full(shape, b"", object)
    return np.ones(shape, dtype.as_numpy_dtype)


def _fits(shape, expected, rows):
    return (
        len(shape) == len(expected)
        and shape[:1] == (rows,)
        and all(
            want in (None, have) for want, have in zip(expected, shape, strict=True)
        )
    )


def _values(name, dtype, shape, must_be, generator):
    if dtype == tf.string:
        texts = np.empty(shape, object)
        texts.flat[:] = [b"text %d" % i for i in range(texts.size)]
        return texts
    if dtype == tf.bool:
        return generator.random(shape) < 0.5
    if dtype.is_floating:
        return generator.uniform(0.25, 1, shape).astype(dtype.as_numpy_dtype)
    high = _highest(name, must_be)
    return generator.integers(high, size=shape, endpoint=True).astype(
        dtype.as_numpy_dtype
    )


def _highest(name, must_be):
    """Return the highest integer that an input may be, as its metadata words it."""
    found = re.search(r"from 0 to (\d+)(?:\*\*(\d+) - 1)?", must_be or "")
    if found:
        base, exponent = found.groups()
        return int(base) ** int(exponent) - 1 if exponent else int(base)
    return 2**31 - 1 if name == "seed" else 1
