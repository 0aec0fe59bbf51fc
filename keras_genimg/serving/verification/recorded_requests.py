"""Warm-up records of a SavedModel."""

import os

import tensorflow as tf

from keras_genimg.extras import install_hint
from keras_genimg.serving.verification.c_process import Request

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000


def prediction_log():
    """Return the message class of warm-up records, `PredictionLog`.

    Raises:
        ImportError: If the extra `serving` is not installed.
    """
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise ImportError(
            f"Warm-up records need the protocol buffers of TensorFlow Serving: "
            f"{install_hint('serving')}. `publish` writes none with `batch_sizes=()`."
        ) from error
    return prediction_log_pb2.PredictionLog


def recorded_requests(directory, graph):
    """Return the warm-up records of a SavedModel.

    Args:
        directory: Path of the SavedModel.
        graph: Its `SavedGraph`.

    Returns:
        List of `Request`, or None if there is no file of records.

    Raises:
        ImportError: If there are records and the extra `serving` is not installed.
        ValueError: If a server would not start with this file.
    """
    file = os.path.join(directory, WARMUP_FILE)
    if not os.path.exists(file):
        return None
    try:
        records = list(tf.data.TFRecordDataset(file).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise ValueError(f"it is not a TFRecord file: {error.message}") from error
    if len(records) > MAX_RECORDS:
        raise ValueError(f"{len(records)} records, and a server takes {MAX_RECORDS}")
    if records:
        prediction_log()  # Not a fault of the first record if it is missing.
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
    """Return the name of the signature and the arrays of a record."""
    log = prediction_log().FromString(record)
    if log.WhichOneof("log_type") != "predict_log":
        raise ValueError("it is not the log of a predict request")
    request = log.predict_log.request
    inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
    return request.model_spec.signature_name or "serving_default", inputs
