"""Values that nobody expects, for properties that hold for all of them."""

import numbers

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

# All kinds of numbers and texts that NumPy stores, and records.
DTYPES = [
    *("bool", "int8", "uint8", "int32", "int64", "uint64", "float16", "float32"),
    *("float64", "longdouble", "complex64", "U3", "S3", "M8[s]", "m8[s]", "object"),
    [("a", "i4")],
]
# Numbers around the limits of types and of seeds.
EDGES = [k * 2**n + i for k in (1, -1) for n in (31, 32, 62, 63) for i in (-1, 0, 1)]
integers = st.one_of(
    st.integers(-3, 12), st.sampled_from(EDGES), st.integers(), st.just(10**400)
)
floats = st.one_of(st.sampled_from([0.0, -0.0, 0.5, 1.0]), st.floats())
scalars = st.one_of(
    *(st.none(), st.booleans(), integers, floats),
    *(st.complex_numbers(), st.text(max_size=3), st.binary(max_size=3)),
    st.sampled_from([np.uint64(3), np.int8(-1), np.float32(0.5), np.bool_(True)]),
)
# Scalars, lists and dicts of them, and lists of lists that may be ragged.
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=2),
    ),
    max_leaves=5,
)


ragged = st.sampled_from(
    [
        [1, [2]],
        [[1, 2], [3]],
        [[[1, 0]], [[1]]],
        [np.zeros((2, 3)), np.zeros((2, 2))],
    ]
)


def arrays(*shapes):
    """Return a strategy of arrays of all types, mostly of these shapes."""
    shape = st.one_of(*map(st.just, shapes), hnp.array_shapes(min_dims=0, max_side=3))

    def of_type(dtype):
        elements = scalars if dtype == "object" else None
        given = hnp.arrays(dtype, shape, elements=elements)
        if np.dtype(dtype).kind not in "if":
            return given
        return st.one_of(hnp.arrays(dtype, shape, elements=st.integers(-1, 3)), given)

    # What is right must be tried too.
    right = hnp.arrays("uint8", st.sampled_from(shapes), elements=st.integers(0, 1))
    return st.one_of(right, st.sampled_from(DTYPES).flatmap(of_type))


def is_int(value):
    """Return whether a value is an integer, and no boolean."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def accepts(call, *arguments):
    """Return whether a call succeeds; if not, check that it says what it received.

    Any other error than a ValueError or a TypeError is passed on.
    """
    try:
        call(*arguments)
    except (TypeError, ValueError) as error:
        assert "Received: " in str(error), repr(error)
        return False
    return True
