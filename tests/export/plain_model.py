"""A SavedModel with signatures that image models do not have."""

import tensorflow as tf

from tests.serving import planted

TYPES = (
    "bool string float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64"
).split()


def types(*values):
    return {f"{value.dtype.name}_value": tf.identity(value) for value in values}


def text(text):
    return {"text": tf.identity(text), "text_bytes": tf.identity(text)}


def word(value):
    """Outputs without a batch axis; NumPy would cut the string at its last byte."""
    return {"word_bytes": tf.constant(b"a\0b\0"), "sum": tf.reduce_sum(value)}


def spin(steps):
    """Compute for a long time, in many small steps."""
    _, work = tf.while_loop(
        lambda step, _: step < tf.reduce_max(steps),
        lambda step, work: (step + 1, work @ work),
        (tf.constant(0, tf.int64), tf.ones((64, 64)) / 64),
    )
    return {"steps": steps + tf.cast(0 * work[0, 0], tf.int64)}


def save(path):
    inputs = {
        types: {f"{name}_value": name for name in TYPES},
        text: {"text": "string"},
        word: {"value": "float32"},
        spin: {"steps": "int64"},
    }
    functions = {
        function.__name__: (
            function,
            [tf.TensorSpec((None,), dtype, name) for name, dtype in given.items()],
        )
        for function, given in inputs.items()
    }
    planted.save(path, functions)
