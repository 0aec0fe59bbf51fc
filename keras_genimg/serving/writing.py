"""Write SavedModels that can be served without this library installed."""

import json
import os
import pathlib
import uuid
from typing import Any

import keras
import tensorflow as tf

from keras_genimg.files import atomic_path
from keras_genimg.ops.workers import is_chief
from keras_genimg.serving.canonical import make_canonical
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.serving.metadata import METADATA_FILE, saved_metadata
from keras_genimg.serving.quiet import quiet
from keras_genimg.types import PathLike


def write_saved_model(
    model: keras.Model,
    path: PathLike,
    endpoints: dict[str, Endpoint],
    max_examples: int,
    metadata: dict[str, Any] | None = None,
    batching: bool = False,
    verbose: bool = True,
) -> None:
    """Write a model's endpoints as the signatures of a SavedModel.

    Weights are stored once, unlike with `keras.export.ExportArchive`. The directory is
    written atomically. Of several workers only the first one writes. The others return
    at once.

    Equal models give equal bytes in every file, in any process with the same versions
    of TensorFlow, Keras and this library and the same kind of device. Names are part of
    the model: Keras numbers unnamed layers and models (`dense_3`) in the order in which
    a process creates them. A `.keras` file stores the name of the model and, for a
    functional model, the names of its layers.

    Args:
        model: The Keras model whose variables the endpoints read.
        path: Directory to create; must not exist.
        endpoints: Dict of `Endpoint` by signature name; `sample` is the default.
        max_examples: Largest number of examples per call of a signature, counting every
            candidate.
        metadata: Dict of JSON values, added to that of `saved_metadata` in the file
            `METADATA_FILE`, which has other keys.
        batching: Whether mergeable signatures merge the requests of several clients.
            In Python, `tf.saved_model.load(path).unmerged` has them without that, by
            name.
        verbose: Whether to print the signatures.

    Raises:
        ValueError: If `path` exists, or an argument is invalid.
    """
    if not is_chief(model.distribute_strategy):
        return
    path = pathlib.Path(os.path.abspath(path))
    if os.path.lexists(path):
        raise ValueError(
            f"Cannot export to a path that exists, since that could overwrite a model. "
            f"Remove it or choose another. Received: {path}"
        )
    # The module holds bare variables: a tf.Module that owned the Keras layers would
    # load in Python and fail on a server.
    module: Any = tf.Module()
    module.weights = [variable.value for variable in model.weights]
    signatures = {
        name: endpoint.concrete(max_examples) for name, endpoint in endpoints.items()
    }
    if batching:
        merged = [name for name in endpoints if endpoints[name].mergeable]
        module.unmerged = {name: signatures[name] for name in merged}
        unique = uuid.uuid4().hex  # Becomes a hash of the model.
        for name in merged:
            signatures[name] = endpoints[name].concrete(
                max_examples, queue=f"{unique}/{name}"
            )
    described = saved_metadata(model, endpoints, signatures, max_examples)
    metadata = metadata or {}
    if taken := sorted(described.keys() & metadata.keys()):
        raise ValueError(
            "`metadata` of export must have other keys than those of the model itself. "
            f"Received: {', '.join(taken)}"
        )
    text = json.dumps({**described, **metadata}, indent=1, allow_nan=False)
    signatures["serving_default"] = signatures["sample"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as unfinished:
        # Servers compute no gradients, which would be a third of the graph.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        with quiet("tensorflow"):  # It would name the unfinished directory.
            tf.saved_model.save(module, str(unfinished), signatures, options)
        make_canonical(unfinished)
        file = unfinished / METADATA_FILE
        file.parent.mkdir()
        file.write_text(text)
    if verbose:
        print(_describe(path, signatures))


def _describe(path, signatures):
    lines = [f"Saved {path} with the signatures"]
    for name, function in signatures.items():
        inputs = function.structured_input_signature[1].values()
        given = ", ".join(f"{s.name} {s.dtype.name} {s.shape}" for s in inputs)
        returned = ", ".join(
            f"{key} {value.dtype.name} {value.shape}"
            for key, value in function.structured_outputs.items()
        )
        lines.append(f"  {name}: {given} -> {returned}")
    return "\n".join(lines)
