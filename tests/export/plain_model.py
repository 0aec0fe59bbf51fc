"""A SavedModel with signatures that image models do not have."""

import tensorflow as tf

TYPES = (
    "bool string float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64"
).split()


def vector(dtype):
    return tf.TensorSpec((None,), dtype)


class Plain(tf.Module):
    def __init__(self):
        self.factor = tf.Variable(2.0)

    def types(self, **inputs):
        return {name: tf.identity(tensor) for name, tensor in inputs.items()}

    def text(self, text):
        return {"text": tf.identity(text), "text_bytes": tf.identity(text)}

    def pairs(self, pair):
        return {"product": self.factor * pair[:, 0] * pair[:, 1]}

    def total(self, value):
        """An output without a batch axis."""
        return {"total": tf.reduce_sum(value)}

    def word(self, value):
        """A string without axes, which NumPy would cut at its last byte."""
        return {"word_bytes": tf.constant(b"a\0b\0"), "sum": tf.reduce_sum(value)}

    def spin(self, steps):
        """Compute for a long time, in many small steps."""
        step = tf.constant(0, tf.int64)
        work = tf.ones((64, 64)) / 64
        _, work = tf.while_loop(
            lambda step, _: step < tf.reduce_max(steps),
            lambda step, work: (step + 1, work @ work),
            (step, work),
        )
        return {"steps": steps + tf.cast(0 * work[0, 0], tf.int64)}

    def save(self, path):
        inputs = {
            "types": {f"{name}_value": vector(name) for name in TYPES},
            "text": {"text": vector("string")},
            "pairs": {"pair": tf.TensorSpec((None, 2), "float32")},
            "total": {"value": vector("float32")},
            "word": {"value": vector("float32")},
            "spin": {"steps": vector("int64")},
        }
        signatures = {
            name: tf.function(getattr(self, name)).get_concrete_function(
                **{k: tf.TensorSpec(s.shape, s.dtype, k) for k, s in specs.items()}
            )
            for name, specs in inputs.items()
        }
        tf.saved_model.save(self, str(path), signatures=signatures)
