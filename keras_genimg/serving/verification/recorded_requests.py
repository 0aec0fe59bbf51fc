"""Warm-up records of a SavedModel, read without the packages of a server."""

import os

import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from keras_genimg.serving.verification.c_process import Request

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000

# Fields of the messages, as `prediction_log.proto`, `predict.proto` and `model.proto`
# of TensorFlow Serving number them.
LOG_PREDICT = 6
PREDICT_REQUEST = 1
REQUEST_MODEL, REQUEST_INPUTS = 1, 2
MODEL_SIGNATURE = 3
KEY, VALUE = 1, 2


def recorded_requests(directory, graph):
    """Return the warm-up records of a SavedModel.

    Args:
        directory: Path of the SavedModel.
        graph: Its `SavedGraph`.

    Returns:
        List of `Request`, or None if there is no file of records.

    Raises:
        ValueError: If a server would not start with this file.
    """
    file = os.path.join(directory, WARMUP_FILE)
    if not os.path.exists(file):
        return None
    try:
        records = list(tf.data.TFRecordDataset(file).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise ValueError(f"it is no TFRecord file: {error.message}") from error
    if len(records) > MAX_RECORDS:
        raise ValueError(f"{len(records)} records, and a server takes {MAX_RECORDS}")
    requests = []
    for index, record in enumerate(records):
        try:
            requests.append(_request(graph, *_parse(record)))
        except Exception as error:  # Bytes of any kind fail in any way.
            raise ValueError(f"record {index} is broken: {error}") from error
    return requests


def _request(graph, name, inputs):
    signature = graph.signatures.get(name)
    if signature is None:
        raise ValueError(f"there is no signature {name!r}")
    if signature.needs_xla:
        raise ValueError(f"{name} needs XLA, which a server has off")
    if set(inputs) != set(signature.inputs):
        raise ValueError(
            f"{name} takes {sorted(signature.inputs)}, not {sorted(inputs)}"
        )
    return Request(signature, inputs)


def _parse(record):
    log = _fields(record)
    if LOG_PREDICT not in log:
        raise ValueError("it is no log of a predict request")
    request = _fields(_fields(log[LOG_PREDICT][-1])[PREDICT_REQUEST][-1])
    model = _fields(request.get(REQUEST_MODEL, [b""])[-1])
    signature = model.get(MODEL_SIGNATURE, [b""])[-1].decode()
    inputs = {}
    for entry in map(_fields, request.get(REQUEST_INPUTS, [])):
        tensor = tensor_pb2.TensorProto.FromString(entry[VALUE][-1])
        inputs[entry[KEY][-1].decode()] = tf.make_ndarray(tensor)
    return signature or "serving_default", inputs


def _fields(message):
    """Return the fields of a serialised protocol buffer, lists of values by number."""
    fields, at = {}, 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key % 8
        if kind == 0:
            value, at = _varint(message, at)
        else:
            sizes = {1: 8, 5: 4}
            size, at = _varint(message, at) if kind == 2 else (sizes[kind], at)
            value, at = message[at : at + size], at + size
        fields.setdefault(key >> 3, []).append(value)
    if at != len(message):
        raise ValueError("it ends too early")
    return fields


def _varint(message, at):
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
