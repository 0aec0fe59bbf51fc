"""SavedModels that can be served without this library installed."""

import json
import os
import pathlib
import uuid
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from genimg_export.files import atomic_path
from genimg_export.metadata import METADATA_FILE, content_hash
from genimg_export.quiet_start import quiet
from keras_genimg.keras_private import forget_gradients
from keras_genimg.model_types import ImageModel
from keras_genimg.ops.workers import is_chief
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.types import PathLike
from keras_genimg.version import __version__


def write_saved_model(
    model: ImageModel,
    path: PathLike,
    endpoints: dict[str, Endpoint],
    max_examples: int,
    metadata: dict[str, Any] | None = None,
    batching: bool = False,
    verbose: bool = True,
) -> None:
    """Write a model's endpoints as the signatures of a SavedModel.

    Weights are stored once, unlike with `keras.export.ExportArchive`. The directory is
    written atomically. Only the first of several workers writes. The others return
    at once.

    The metadata have a SHA-256 of the content, see `content_hash`. It identifies this
    export and its copies. A second export of the same model has another one, since
    TensorFlow numbers functions by the work that the process did before, and queues get
    random names.

    Args:
        model: The Keras model whose variables the endpoints read.
        path: Directory to create; must not exist.
        endpoints: Dict of `Endpoint` by signature name; `sample` is the default.
        max_examples: Largest number of examples per call of a signature, counting every
            candidate.
        metadata: Dict of JSON values, added to those of `saved_metadata` and `sha256`
            in the file `METADATA_FILE`. It must have other keys.
        batching: Whether mergeable signatures merge the requests of several clients.
            In Python, `tf.saved_model.load(path).unmerged` has them without that, by
            name.
        verbose: Whether to print the signatures.

    Raises:
        ValueError: If `path` exists, or an argument is invalid.
    """
    if not is_chief(model.distribute_strategy):
        return
    if "sample" not in endpoints:
        raise ValueError(
            f"`endpoints` of {type(model).__name__} must return an endpoint 'sample', "
            f"which becomes the default signature. Received: endpoints "
            f"{sorted(endpoints)}"
        )
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
        # Functions that share a queue answer each other's requests. A server may load
        # other versions of this model, whose signatures have the same names.
        export = uuid.uuid4().hex
        for name in merged:
            queue = f"{export}/{name}"
            signatures[name] = endpoints[name].concrete(max_examples, queue)
    described = saved_metadata(model, endpoints, signatures, max_examples)
    metadata = metadata or {}
    if taken := sorted({*described, "sha256"} & metadata.keys()):
        raise ValueError(
            "`metadata` of export must have other keys than those of the model itself. "
            f"Received: {', '.join(taken)}"
        )
    # Read again, since JSON has neither tuples nor keys that are numbers.
    content = json.loads(json.dumps({**described, **metadata}, allow_nan=False))
    signatures["serving_default"] = signatures["sample"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as unfinished:
        # Servers compute no gradients, which would be a third of the graph.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        with quiet("tensorflow"):  # It would name the unfinished directory.
            tf.saved_model.save(module, str(unfinished), signatures, options)
        _forget_gradients(unfinished)
        content["sha256"] = content_hash(unfinished, content)
        file = unfinished / METADATA_FILE
        file.parent.mkdir()
        file.write_text(json.dumps(content, indent=1))
    if verbose:
        print(f"Saved {path} with the signatures")
        by_name = described["signatures"]
        for name, each in {**by_name, "serving_default": by_name["sample"]}.items():
            given, returned = _listed(each["inputs"]), _listed(each["outputs"])
            print(f"  {name}: {given} -> {returned}")


def _forget_gradients(directory):
    """Rename gradients, which are not saved, so that looking one up fails.

    Their names are numbers of this process. In a process that loads the SavedModel, the
    same number may belong to another gradient, which TensorFlow would take.
    """
    file = directory / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for function in saved.meta_graphs[0].graph_def.library.function:
        forget_gradients(function.node_def)
    file.write_bytes(saved.SerializeToString())
    # It holds hashes of the graph before. No loader needs it.
    (directory / "fingerprint.pb").unlink(missing_ok=True)


def _listed(tensors):
    """Return names, types and shapes from metadata, as a text."""
    return ", ".join(
        f"{name} {tensor['dtype']} {tuple(tensor['shape'])}"
        for name, tensor in tensors.items()
    )


def saved_metadata(model: ImageModel, endpoints, signatures, max_examples):
    """Return a description of a SavedModel for its clients, as a dict of JSON values.

    Args:
        model: A `GenerativeModel`.
        endpoints: Dict of `Endpoint` by signature name.
        signatures: Dict of traced functions by signature name.
        max_examples: Largest number of examples per call, counting every candidate.

    Returns:
        A dict of `family`, the class of the model; `name`; `image_shape`;
        `likelihood`; `class_names`, if the model has them; `max_examples`;
        `signatures`; and `versions`. Each signature has the types and shapes of its
        inputs and outputs, the ranges of its inputs (see `Input.metadata`), `at_most`
        for outputs with a limit, `max_examples`, `num_candidates`, `warm_up` and `xla`.
    """
    described = {}
    for name, endpoint in endpoints.items():
        outputs, at_most = signatures[name].structured_outputs, endpoint.at_most
        described[name] = {
            "inputs": {key: given.metadata() for key, given in endpoint.inputs.items()},
            "outputs": {
                key: {
                    "dtype": tensor.dtype.name,
                    "shape": tensor.shape.as_list(),
                    **({"at_most": at_most[key]} if key in at_most else {}),
                }
                for key, tensor in outputs.items()
            },
            "warm_up": endpoint.warm_up,
            "xla": endpoint.jit_compile,
            "max_examples": endpoint.most_examples(max_examples),
            "num_candidates": endpoint.num_candidates,
        }
    sample = signatures["sample"].structured_outputs["images"]
    names = {"class_names": model.class_names} if model.class_names else {}
    return {
        "family": type(model).__name__,
        "name": model.name,
        "image_shape": sample.shape.as_list()[1:],
        "likelihood": keras.saving.serialize_keras_object(model.likelihood),
        **names,
        "max_examples": max_examples,
        "signatures": described,
        "versions": {
            "keras_genimg": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
    }
