"""Warm-up records: requests that a server runs while it loads a model."""

import os
import pathlib
from collections.abc import Iterable

import tensorflow as tf

from keras_genimg.extras import install_hint
from keras_genimg.files import atomic_path
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.serving.metadata import (
    described_signature,
    most_examples,
    read_metadata,
)
from keras_genimg.serving.verification.clean_process import Request
from keras_genimg.serving.verification.probes import random_inputs
from keras_genimg.serving.verification.saved_graph import SavedGraph
from keras_genimg.types import PathLike

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
    larger batches.

    Args:
        directory: Path of a SavedModel that is not being served.
        batch_sizes: Integers, each a number of examples.

    Returns:
        The number of records.

    Raises:
        ImportError: If the extra `serving` is not installed.
        ValueError: If a batch size is not a positive integer or above the model's
            limit, or there would be more records than a server takes.
    """
    directory = os.path.abspath(os.fspath(directory))
    graph, metadata = SavedGraph(directory), read_metadata(directory)
    sizes = checked_batch_sizes(
        batch_sizes, metadata.get("max_examples"), "write_warmup"
    )
    signatures = [
        signature
        for signature in graph.plain_signatures
        if described_signature(metadata, signature.name).get("warm_up", True)
    ]
    requests = [
        (signature, size)
        for signature in signatures
        for size in sizes
        if size <= (most_examples(metadata, signature.name) or size)
    ]
    if len(requests) > MAX_RECORDS:
        raise ValueError(
            f"A server takes {MAX_RECORDS} warm-up records at most. {len(sizes)} batch "
            f"sizes of {len(signatures)} signatures are more. Use fewer batch sizes. "
            f"Received: batch_sizes={sizes}"
        )
    records = [_record(signature, metadata, size) for signature, size in requests]
    file = pathlib.Path(directory, WARMUP_FILE)
    file.parent.mkdir(exist_ok=True)
    with atomic_path(file) as unfinished:
        with tf.io.TFRecordWriter(str(unfinished)) as writer:
            for record in records:
                writer.write(record)
    return len(records)


def checked_batch_sizes(batch_sizes, max_examples, owner):
    """Return batch sizes without duplicates, or raise if one is not valid.

    Args:
        batch_sizes: Integers.
        max_examples: Largest number of examples per call, or None.
        owner: Name of the function that received them, for error texts.

    Raises:
        ValueError: If one is not a positive integer or above `max_examples`.
    """
    if not isinstance(batch_sizes, Iterable):
        raise ValueError(
            f"`batch_sizes` of {owner} must be integers, such as (1, 8). Received: "
            f"batch_sizes={batch_sizes!r}"
        )
    sizes = [check_positive_int("batch_sizes", size, owner) for size in batch_sizes]
    too_large = [
        size for size in sizes if max_examples is not None and size > max_examples
    ]
    if too_large:
        raise ValueError(
            f"`batch_sizes` of {owner} must be at most {max_examples}, the largest "
            f"number of examples per call of this model (`max_examples` of `export`). "
            f"Received: batch_sizes={sizes}"
        )
    return list(dict.fromkeys(sizes))


def recorded_requests(directory, graph):
    """Return the warm-up records of a SavedModel as a list of `Request`.

    Args:
        directory: Path of the SavedModel.
        graph: Its `SavedGraph`.

    Raises:
        ImportError: If there are records and the extra `serving` is not installed.
        ValueError: If a server would not start with this file.
    """
    file = os.path.join(directory, WARMUP_FILE)
    if not os.path.exists(file):
        return []
    try:
        records = list(tf.data.TFRecordDataset(file).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise ValueError(f"it is not a TFRecord file: {error.message}") from error
    if len(records) > MAX_RECORDS:
        raise ValueError(f"{len(records)} records, and a server takes {MAX_RECORDS}")
    if records:
        _log()  # Not a fault of the first record if the message class is missing.
    requests = []
    for index, record in enumerate(records):
        try:
            requests.append(_request(graph, record))
        except Exception as error:  # Bytes of any kind fail in any way.
            raise ValueError(f"record {index} is broken: {error}") from error
    return requests


def _request(graph, record):
    log = _log()
    log.ParseFromString(record)
    if log.WhichOneof("log_type") != "predict_log":
        raise ValueError("it is not the log of a predict request")
    request = log.predict_log.request
    inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
    name = request.model_spec.signature_name or "serving_default"
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


def _record(signature, metadata, batch_size):
    """Return the bytes of one record."""
    described = described_signature(metadata, signature.name).get("inputs", {})
    inputs = random_inputs(signature, described, batch_size)
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
            f"Warm-up records need the protocol buffers of TensorFlow Serving: "
            f"{install_hint('serving')}. `publish` writes none with `batch_sizes=()`."
        ) from error
    return prediction_log_pb2.PredictionLog()
