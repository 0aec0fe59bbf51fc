"""Warm-up records: requests that a server sends itself before it takes others."""

import os
import pathlib
from collections.abc import Iterable

import tensorflow as tf

from keras_genimg.extras import install_hint
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.saved_model.metadata import most_rows, read_metadata, warms_up
from keras_genimg.serving.verification.graph_scan import SavedGraph
from keras_genimg.serving.verification.probe_inputs import (
    described_inputs,
    example_inputs,
)
from keras_genimg.serving.verification.recorded_requests import (
    MAX_RECORDS,
    WARMUP_FILE,
)


def write_warmup(directory, batch_sizes=(1,)):
    """Write a warm-up record for each signature and batch size into a SavedModel.

    A server answers them while it loads the model, so that the first client need not
    wait for what is done only once. One record that fails keeps a server from
    starting. So signatures whose names end in `_xla` get none, since most servers
    cannot run them. A signature that takes fewer rows than the others, as `complete`
    with several candidates does, gets no record of a larger batch. Nor does
    `check_sampler` get records, which clients rarely call. The file takes the place of
    one that is there. Needs the extra `serving`.

    Args:
        directory: Path of the SavedModel, not of one that is being served.
        batch_sizes: Integers, each a number of rows.

    Returns:
        The number of records.

    Raises:
        ValueError: If a batch size is no positive integer or above the model's limit,
            or there would be more records than a server takes.
    """
    directory = os.path.abspath(os.fspath(directory))
    graph, metadata = SavedGraph(directory), read_metadata(directory)
    sizes = checked_batch_sizes(batch_sizes, metadata.get("max_rows"), "write_warmup")
    signatures = [s for s in graph.plain_signatures if warms_up(metadata, s.name)]
    requests = [
        (signature, rows)
        for signature in signatures
        for rows in sizes
        if rows <= (most_rows(metadata, signature.name) or rows)
    ]
    if len(requests) > MAX_RECORDS:
        raise ValueError(
            f"A server takes {MAX_RECORDS} warm-up records, and {len(sizes)} batch "
            f"sizes of {len(signatures)} signatures are more. Name fewer batch sizes. "
            f"Received: batch_sizes={sizes}"
        )
    records = [_record(signature, metadata, rows) for signature, rows in requests]
    file = os.path.join(directory, WARMUP_FILE)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    unfinished = f"{file}.unfinished"
    try:
        with tf.io.TFRecordWriter(unfinished) as writer:
            for record in records:
                writer.write(record)
        os.replace(unfinished, file)
    except BaseException:
        pathlib.Path(unfinished).unlink(missing_ok=True)
        raise
    return len(records)


def checked_batch_sizes(batch_sizes, max_rows, owner):
    """Return batch sizes, each once.

    Args:
        batch_sizes: Integers.
        max_rows: Most rows that a signature takes in one call, or None.
        owner: Name of the function that received them.

    Raises:
        ValueError: If one is no positive integer or above `max_rows`.
    """
    if not isinstance(batch_sizes, Iterable):
        raise ValueError(
            f"`batch_sizes` of {owner} must be integers, such as (1, 8). Received: "
            f"batch_sizes={batch_sizes!r}"
        )
    sizes = [check_positive_int("batch_sizes", size, owner) for size in batch_sizes]
    too_large = [size for size in sizes if max_rows is not None and size > max_rows]
    if too_large:
        raise ValueError(
            f"`batch_sizes` of {owner} must be at most {max_rows}, the most rows that "
            f"this model takes in one call (`max_rows` of `export`). Received: "
            f"batch_sizes={sizes}"
        )
    return list(dict.fromkeys(sizes))


def _record(signature, metadata, rows):
    """Return the bytes of one record."""
    described = described_inputs(metadata, signature.name)
    inputs = example_inputs(signature, described, rows)
    log = _prediction_log()
    request = log.predict_log.request
    request.model_spec.signature_name = signature.name
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return log.SerializeToString(deterministic=True)


def _prediction_log():
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise ImportError(
            f"Warm-up records need the protocol buffers of TensorFlow Serving: "
            f"{install_hint('serving')}; or ask for none with `batch_sizes=()`."
        ) from error
    return prediction_log_pb2.PredictionLog()
