"""Comparison of the outputs of two runs."""

import numpy as np
import tensorflow as tf

FLOAT_TOLERANCE = 1e-4  # Relative and absolute.
MAX_ROUNDED = 0.01  # Share of a uint8 output that may differ by 1.
TOLERANCES = (
    f"integers equal, at most {MAX_ROUNDED:.0%} of the uint8 1 apart, floats within "
    f"{FLOAT_TOLERANCE:g}"
)
PNG = b"\x89PNG"


def difference(expected, got, same):
    """Describe how dicts of arrays differ, or return None.

    Args:
        expected: Dict of arrays.
        got: Another one.
        same: `same_bits` or `close`, which decides whether arrays of one type and shape
            differ.
    """
    if set(expected) != set(got):
        return f"outputs {sorted(got)}, not {sorted(expected)}"
    for name, want in expected.items():
        have = got[name]
        if (have.dtype, have.shape) != (want.dtype, want.shape):
            return (
                f"{name} is {have.dtype} {list(have.shape)}, not "
                f"{want.dtype} {list(want.shape)}"
            )
        if not same(want, have):
            return f"{name} has other values"
    return None


def same_bits(want, have):
    """Return whether all bits of two arrays are equal."""
    if want.dtype == object:
        return want.tolist() == have.tolist()
    return want.tobytes() == have.tobytes()


def close(want, have):
    """Return whether two arrays are equal up to rounding.

    In a batch of another size, floats can be summed in another order and differ in
    their last bits. The mean of a pixel can then be rounded to a neighboring integer.
    """
    if want.dtype == object:
        pairs = zip(want.ravel(), have.ravel(), strict=True)
        return all(a == b or _close_pngs(a, b) for a, b in pairs)
    if want.dtype.kind == "f":
        return np.allclose(have, want, FLOAT_TOLERANCE, FLOAT_TOLERANCE, equal_nan=True)
    if want.dtype != np.uint8:
        return np.array_equal(want, have)
    apart = np.abs(want.astype(int) - have)
    return apart.size == 0 or (
        apart.max() <= 1 and np.count_nonzero(apart) <= max(1, MAX_ROUNDED * apart.size)
    )


def _close_pngs(want, have):
    if not (want.startswith(PNG) and have.startswith(PNG)):
        return False
    want, have = (tf.io.decode_png(png).numpy() for png in (want, have))
    return want.shape == have.shape and close(want, have)
