"""Inputs that a signature must accept, and inputs that it must refuse."""

import math

import numpy as np
import tensorflow as tf

from keras_genimg.serving.verification.saved_graph import is_batched

UNKNOWN_SIZE = 4  # For axes of any size.
# For numbers without limits in the metadata. Older exports and SavedModels of other
# libraries state none, and these values suit every input of this library.
DEFAULT_RANGES = {"seed": (0, 2**31 - 1)}
DEFAULT_RANGE = (0, 1)


def random_inputs(signature, batch_size, seed=0):
    """Return random arrays by name of input that a signature accepts.

    Args:
        signature: A `Signature`.
        batch_size: Size of the batch.
        seed: Seed of the values.
    """
    generator = np.random.default_rng(seed)
    described = signature.metadata.get("inputs", {})
    return {
        name: values_in_range(
            name,
            spec.dtype,
            _full_shape(spec, batch_size),
            described.get(name, {}),
            generator,
        )
        for name, spec in signature.inputs.items()
    }


def values_in_range(name, dtype, shape, described, generator):
    """Return an array of random values that an input accepts.

    Args:
        name: Name of the input.
        dtype: Its `tf.DType`.
        shape: Shape of the array.
        described: Metadata of the input, see `Input.metadata`; may be empty.
        generator: `np.random.Generator`.
    """
    if dtype == tf.string:
        texts = np.empty(shape, object)
        texts.flat[:] = [b"text %d" % i for i in range(texts.size)]
        return texts
    if dtype == tf.bool:
        return generator.random(shape) < 0.5
    low, high = described.get("low"), described.get("high")
    if low is None and high is None:
        low, high = DEFAULT_RANGES.get(name, DEFAULT_RANGE)
    low = high - 1 if low is None else low
    high = low + 1 if high is None else high
    if dtype.is_floating:
        # Without values close to an open limit, which can be rounded to it.
        size = high - low
        values = generator.uniform(low + size / 4, high - size / 8, shape)
    else:
        low += described.get("low_open", False)
        values = generator.integers(low, high, shape, endpoint=True)
    return values.astype(dtype.as_numpy_dtype)


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
        outside = limit + step
        if dtype.is_floating:  # 1 may be less than the distance of two floats.
            number = dtype.as_numpy_dtype(limit)
            beside = float(np.nextafter(number, dtype.as_numpy_dtype(step * np.inf)))
            outside = step * max(step * outside, step * beside)
        elif not dtype.min <= outside <= dtype.max:
            continue
        accepted[outside] = False
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
        (0,),  # `[]` in JSON.
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
