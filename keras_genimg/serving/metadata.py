"""Metadata of a SavedModel: a JSON file beside the graph."""

import json
import pathlib
from typing import Any

import keras
import tensorflow as tf

from keras_genimg.types import PathLike
from keras_genimg.version import __version__

METADATA_FILE = "assets.extra/metadata.json"


def saved_metadata(model, endpoints, signatures, max_examples):
    """Return a description of a SavedModel for its clients, as a dict of JSON values.

    Args:
        model: A `GenerativeModel`.
        endpoints: Dict of `Endpoint` by signature name.
        signatures: Dict of traced functions by signature name.
        max_examples: Largest number of examples per call, counting every candidate.

    Returns:
        A dict of `family`, the class of the model; `name`; `image_shape`;
        `likelihood`; `max_examples`; `signatures`; and `versions`. Each signature has
        the types and shapes of its inputs and outputs, the ranges of its inputs (see
        `Input.metadata`), `at_most` for outputs with a limit, `max_examples`,
        `num_candidates`, `warm_up` and `xla`.
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
    return {
        "family": type(model).__name__,
        "name": model.name,
        "image_shape": sample.shape.as_list()[1:],
        "likelihood": keras.saving.serialize_keras_object(model.likelihood),
        "max_examples": max_examples,
        "signatures": described,
        "versions": {
            "keras_genimg": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
    }


def read_metadata(directory: PathLike) -> dict[str, Any]:
    """Return the metadata of a SavedModel, or an empty dict if it has none.

    Args:
        directory: Path of the SavedModel.
    """
    file = pathlib.Path(directory, METADATA_FILE)
    return json.loads(file.read_text()) if file.exists() else {}
