"""SavedModels of plain TensorFlow with faults that a verification must find."""

import sys

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

SEED = tf.TensorSpec((None,), tf.int64, name="seed")
IMAGES = tf.TensorSpec((None, 3, 4, 1), tf.int32, name="images")
COUNT = tf.TensorSpec((), tf.int32, name="count")


def save(path, functions, layers=None):
    """Write a SavedModel of functions and the specs of their inputs, by signature.

    The module may own Keras layers: Python loads it then, a server cannot.
    """
    module = tf.Module()
    module.layers = layers
    module.functions = [
        tf.function(function, autograph=False).get_concrete_function(*specs)
        for function, specs in functions.values()
    ]
    signatures = dict(zip(functions, module.functions, strict=True))
    tf.saved_model.save(module, str(path), signatures=signatures)


def not_empty(tensor, spec):
    """Return a tensor of the shape of `spec`, or raise if its batch is empty."""
    tensor = tf.ensure_shape(tensor, spec.shape)
    check = tf.debugging.Assert(tf.shape(tensor)[0] > 0, ["no examples"])
    with tf.control_dependencies([check]):
        return tf.identity(tensor)


def noise(seed):
    """Return 5 numbers from 0 to 255 for each seed, `(batch, 5)`."""
    seed = not_empty(seed, SEED)
    seed = tf.stack([seed, tf.zeros_like(seed)], axis=-1)
    return tf.map_fn(
        lambda pair: tf.random.stateless_uniform((5,), pair, 0, 255, tf.int32),
        seed,
        fn_output_signature=tf.int32,
    )


def sound(seed):
    # A server may print, and so may the process of a verification.
    tf.print("drawing", output_stream=sys.stdout)
    return {"numbers": noise(seed)}


def calls_python(seed):
    return {"numbers": tf.py_function(lambda x: x + 1, [noise(seed)], tf.int32)}


def has_xla_op(seed):
    return {"numbers": xla.sort(noise(seed))}


def must_be_compiled(seed):
    compiled = tf.function(lambda x: x + 1, jit_compile=True, autograph=False)
    return {"numbers": compiled(noise(seed))}


def uses_first_seed(seed):
    return {"numbers": noise(tf.fill(tf.shape(seed), not_empty(seed, SEED)[0]))}


def mean_of_batch(seed):
    return {"numbers": tf.reduce_mean(noise(seed), axis=0)}


def turned_round(seed):
    """The batch is the last axis of an output whose shape is not known."""
    numbers = tf.transpose(noise(seed))
    return {"numbers": tf.compat.v1.placeholder_with_default(numbers, (None, None))}


def half_precision(seed):
    return {"numbers": tf.cast(noise(seed), tf.float16)}


def text_without_bytes(seed):
    return {"text": tf.strings.as_string(noise(seed)[:, 0])}


def convolution(images):
    kernel = tf.ones((2, 2, 1, 1))
    return {"sums": tf.nn.conv2d(tf.cast(images, tf.float32), kernel, 1, "VALID")}


def any_width(images):
    """A sum, since it works for any number of pixels, unlike a convolution."""
    return {"sums": tf.reduce_sum(images, axis=(1, 2, 3))}


def scalar(count):
    return {"numbers": noise(tf.range(tf.cast(count, tf.int64)))}


def save_with_faults(path):
    """Write a SavedModel of many signatures, all of them with a fault but `sound`."""
    of_seeds = [sound, calls_python, has_xla_op, must_be_compiled, uses_first_seed]
    of_seeds += [mean_of_batch, turned_round, half_precision, text_without_bytes]
    inputs = dict.fromkeys(of_seeds, SEED)
    inputs |= {convolution: IMAGES, any_width: IMAGES, scalar: COUNT}
    save(path, {function.__name__: (function, [x]) for function, x in inputs.items()})


def record(signature, **inputs):
    """Return the bytes of a warm-up record."""
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(np.asarray(value)))
    return log.SerializeToString()


def write_records(path, records):
    """Write warm-up records into a SavedModel."""
    folder = path / "assets.extra"
    folder.mkdir(exist_ok=True)
    file = folder / "tf_serving_warmup_requests"
    with tf.io.TFRecordWriter(str(file)) as writer:
        for one in records:
            writer.write(one)
    return file
