"""Warm-up records: requests that a server runs while it loads a model."""

import os
import pathlib
from collections.abc import Iterable

import tensorflow as tf

from .checks import check_int
from .clean_process import Request
from .files import PathLike, atomic_path
from .install_hint import install_hint
from .probes import random_inputs
from .saved_graph import SavedGraph

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000


def write_warmup(directory: PathLike, batch_sizes: Iterable[int] = (1,)) -> int:
    """Write a warm-up record for each signature and batch size into a SavedModel.

    A server runs them while it loads the model, so that the first client does not wait
    for one-time work. The file is written atomically and replaces an existing one.
    Needs the extra `serving`.

    A record that fails keeps a server from starting. Signatures whose names end in
    `_xla` therefore get none: most servers cannot run them. Neither does
    `check_sampler`, which clients rarely call. A signature that takes fewer examples
    than the others, such as `complete` with several candidates, gets no records for
    larger batches. More than 1000 records keep a server from starting, too; `verify`
    counts them.

    Args:
        directory: Path of a SavedModel that is not being served.
        batch_sizes: Integers, each a number of examples.

    Returns:
        The number of records.

    Raises:
        ImportError: If the extra `serving` is not installed.
        ValueError: If a batch size is not a positive integer or above the model's
            limit.
    """
    graph = SavedGraph(directory)
    sizes = checked_batch_sizes(batch_sizes, graph.metadata.get("max_examples"))
    records = [
        _record(signature, size)
        for signature in graph.plain_signatures
        if signature.metadata.get("warm_up", True)
        for size in sizes
        if size <= signature.metadata.get("max_examples", size)
    ]
    file = pathlib.Path(graph.directory, WARMUP_FILE)
    file.parent.mkdir(exist_ok=True)
    with atomic_path(file) as path, tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return len(records)


def checked_batch_sizes(batch_sizes, max_examples=None, owner="write_warmup"):
    """Return batch sizes without duplicates, or raise if one is not valid."""
    if not isinstance(batch_sizes, Iterable):
        raise ValueError(
            f"`batch_sizes` of {owner} must be integers, such as (1, 8). "
            f"Received: batch_sizes={batch_sizes!r}"
        )
    sizes = [check_int("batch_sizes", size, owner) for size in batch_sizes]
    if max_examples is not None and max(sizes, default=0) > max_examples:
        raise ValueError(
            f"`batch_sizes` of {owner} must be at most {max_examples}, the "
            f"largest number of examples per call of this model (`max_examples` of "
            f"`export`). Received: batch_sizes={sizes}"
        )
    return list(dict.fromkeys(sizes))


def recorded_requests(graph):
    """Return the warm-up records of a SavedModel as a list of `Request`.

    Args:
        graph: Its `SavedGraph`.

    Raises:
        ImportError: If there are records and the extra `serving` is not installed.
        ValueError: If a server would not start with this file.
    """
    file = os.path.join(graph.directory, WARMUP_FILE)
    if not os.path.exists(file):
        return []
    try:
        records = list(tf.data.TFRecordDataset(file).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise ValueError(f"it is not a TFRecord file: {error.message}") from error
    if len(records) > MAX_RECORDS:
        raise ValueError(f"{len(records)} records, and a server takes {MAX_RECORDS}")
    requests = []
    for index, record in enumerate(records):
        log = _log()
        try:
            log.ParseFromString(record)
            signature, inputs = _called(graph, log)
        except Exception as error:  # Bytes of any kind fail in any way.
            raise ValueError(f"record {index} is broken: {error}") from error
        text = f"record {index}, for {signature.name},"
        requests.append(Request(signature, inputs, "record", text))
    return requests


def _called(graph, log):
    """Return the signature that a record calls, and the inputs by name."""
    if log.WhichOneof("log_type") != "predict_log":
        raise ValueError("it is not the log of a predict request")
    request = log.predict_log.request
    inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
    name = request.model_spec.signature_name or "serving_default"
    if name not in graph.signatures:
        raise ValueError(f"there is no signature {name!r}")
    signature = graph.signatures[name]
    if set(inputs) != set(signature.inputs):
        raise ValueError(
            f"{name} takes {sorted(signature.inputs)}, not {sorted(inputs)}"
        )
    return signature, inputs


def _record(signature, batch_size):
    """Return the bytes of one record."""
    inputs = random_inputs(signature, batch_size)
    log = _log()
    request = log.predict_log.request
    request.model_spec.signature_name = signature.name
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return log.SerializeToString(deterministic=True)


def _log():
    """Return an empty warm-up record, a `PredictionLog`."""
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise ImportError(
            "Warm-up records, which `publish` leaves out with `batch_sizes=()`, need "
            f"the protocol buffers of TensorFlow Serving: {install_hint('serving')}"
        ) from error
    return prediction_log_pb2.PredictionLog()
