"""Inputs that a signature must accept, and shapes that it must refuse."""

import math

import numpy as np

from keras_genimg.serving.verification.ranges import values_in_range

NUM_WRONG_SHAPES = 9
UNKNOWN_SIZE = 4  # For axes of any size.
NUM_EXAMPLES = 3
DEFAULTS = {"serving_default": "sample"}  # Two names of one signature.


def random_inputs(signature, described, batch_size, seed=0):
    """Return random arrays by name of input that a signature accepts.

    Args:
        signature: A `Signature`.
        described: Metadata of its inputs by name, a dict that may be empty.
        batch_size: Size of the batch.
        seed: Seed of the values.
    """
    generator = np.random.default_rng(seed)
    return {
        name: values_in_range(
            name,
            tensor.dtype,
            full_shape(tensor, batch_size),
            described.get(name, {}),
            generator,
        )
        for name, tensor in signature.inputs.items()
    }


def described_inputs(metadata, name):
    """Return the metadata of a signature's inputs by name, a dict that may be empty.

    Args:
        metadata: Metadata of a SavedModel, a dict that may be empty.
        name: Name of the signature.
    """
    signatures = metadata.get("signatures", {})
    return signatures.get(DEFAULTS.get(name, name), {}).get("inputs", {})


def full_shape(tensor, batch_size):
    """Return a tensor's shape with `batch_size` for the batch, as a tuple."""
    sizes = [UNKNOWN_SIZE if size is None else size for size in tensor.shape or ()]
    return (batch_size, *sizes[1:]) if tensor.batched else tuple(sizes)


def wrong_shapes(signature, name, batch_size=2):
    """Return nine shapes that an input must not have, as a list of tuples.

    Args:
        signature: A `Signature`.
        name: Name of the input.
        batch_size: Batch size of the other inputs.
    """
    tensor = signature.inputs[name]
    full = full_shape(tensor, batch_size)
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
        (batch_size, *sizes[1:2], *sizes[:1], *sizes[2:]),
        *wider[-1:],
        (1, *full),
        (*full, 1, 1),
        (batch_size, math.prod(sizes)),
        (*full[:-1], 0),
        full[::-1],
        *([(batch_size + 1, *sizes)] if len(signature.inputs) > 1 else []),
        *wider,
        (*full, batch_size),
        (0, 1),
        (1, 1),
        (1, batch_size, 1),
    ]
    candidates = dict.fromkeys(candidates)
    wrong = [s for s in candidates if not _fits(s, tensor.shape, batch_size)]
    return wrong[:NUM_WRONG_SHAPES]


def _fits(shape, expected, batch_size):
    return (
        len(shape) == len(expected)
        and shape[:1] == (batch_size,)
        and all(
            want in (None, have) for want, have in zip(expected, shape, strict=True)
        )
    )
