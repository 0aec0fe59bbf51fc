"""A short number that tells whether weights have changed."""

import weakref

import keras
import tensorflow as tf

# An odd number that spreads neighboring places.
_MULTIPLIER = 0x1E3779B1
# By the id of a first variable: weak references to all variables, and a function.
_functions = {}


def weights_fingerprint(variables):
    """Return a value that changes when any of the variables changes.

    The first call with given variables traces a graph; later calls run it, at about
    0.2 ms for sixty variables. The graph keeps no variable alive, and is freed with
    the first of them.

    Args:
        variables: Keras or TensorFlow variables of any dtype, such as `model.weights`.
            Of a variable with a copy on each device, the first copy is read.

    Returns:
        Bytes, four for each dtype among the variables.

    Example:
        >>> before = weights_fingerprint(model.weights)
        >>> history = model.fit(images)
        >>> weights_fingerprint(model.weights) == before
        False
    """
    if not variables:
        return b""
    with tf.init_scope():  # Also where the caller is being traced.
        return _current_function(variables)().numpy().tobytes()


def fingerprint_of(variables):
    """Return what `weights_fingerprint` returns, for a graph, also under XLA.

    Args:
        variables: As in `weights_fingerprint`.

    Returns:
        Int32, one number for each dtype among the variables.
    """
    by_dtype = {}
    for variable in variables:
        value = variable.value if isinstance(variable, keras.Variable) else variable
        row = tf.reshape(value, (-1,))
        by_dtype.setdefault(row.dtype, []).append(row)
    hashes = [_hash(tf.concat(rows, axis=0)) for rows in by_dtype.values()]
    return tf.stack(hashes) if hashes else tf.zeros((0,), tf.int32)


def _current_function(variables):
    """Return the graph of the fingerprint of these variables, traced if it must be."""
    variables = [v.value if isinstance(v, keras.Variable) else v for v in variables]
    references, function = _functions.get(id(variables[0]), ((), None))
    if len(references) != len(variables) or any(
        reference() is not variable
        for reference, variable in zip(references, variables, strict=True)
    ):
        function = _trace(variables)
    return function


def _trace(variables):
    """Return the graph of the variables' fingerprint, and keep it for later calls."""

    @tf.function(autograph=False)
    def fingerprint():
        return fingerprint_of(variables)

    # The concrete function refers to variables weakly, as `fingerprint` does not.
    function = fingerprint.get_concrete_function()
    first = variables[0]
    if id(first) not in _functions:
        weakref.finalize(first, _functions.pop, id(first), None)
    _functions[id(first)] = [weakref.ref(variable) for variable in variables], function
    return function


def _hash(values):
    """Return a sum of the bits of all values, weighted by their place, int32."""
    if values.dtype.size >= 4:
        bits = tf.reshape(tf.bitcast(values, tf.int32), (-1,))
    elif values.dtype.size == 2:
        bits = tf.cast(tf.bitcast(values, tf.int16), tf.int32)
    elif values.dtype.is_floating:  # Of eight bits, which has no bitcast.
        bits = tf.bitcast(tf.cast(values, tf.float32), tf.int32)
    else:
        bits = tf.cast(values, tf.int32)
    # The low bits of simple numbers, such as 1.0, are 0 and would tell nothing.
    bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, 15))
    # Odd numbers, so that a change of a single value always changes the sum. Sums and
    # products wrap round.
    places = 2 * tf.range(tf.size(bits)) + 1
    return tf.reduce_sum(bits * (places * _MULTIPLIER))
