"""A SavedModel in memory, ready to run."""

import json
import os

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from .errors import ServingError, from_tensorflow

METADATA_FILE = os.path.join("assets.extra", "metadata.json")
# The types of TensorFlow Serving's JSON, which has no half precision.
SERVED_TYPES = frozenset(
    tf.as_dtype(name)
    for name in (
        "bool string float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64"
    ).split()
)


class LoadedModel:
    """A SavedModel in a session, as TensorFlow Serving holds it.

    A session, because its runs can time out; a `tf.function` called from Python cannot.

    Args:
        directory: Path of the SavedModel.

    Attributes:
        signatures: `SignatureDef` by name, of those that clients can call.
        metadata: The content of `assets.extra/metadata.json`, or None.

    Raises:
        Exception: If files are missing or TensorFlow cannot load them.
    """

    def __init__(self, directory):
        if not os.path.exists(os.path.join(directory, "saved_model.pb")):
            text = f"{directory} has no saved_model.pb"
            raise tf.errors.NotFoundError(None, None, text)
        graph = tf.Graph()
        config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
        config.gpu_options.allow_growth = True
        with graph.as_default():
            self._session = tf.compat.v1.Session(graph=graph, config=config)
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], directory)
        self._definitions = dict(loaded.signature_def)
        self.signatures = {
            name: signature
            for name, signature in self._definitions.items()
            if not name.startswith("__")
        }
        self.metadata = _read_json(os.path.join(directory, METADATA_FILE))

    def max_examples(self, signature_name):
        """Return the most examples per call by the metadata, or None if unknown."""
        signature = self.metadata
        for key in ("signatures", signature_name):
            signature = signature.get(key) if isinstance(signature, dict) else None
        for said in (signature, self.metadata):
            number = said.get("max_examples") if isinstance(said, dict) else None
            if isinstance(number, int):
                return number
        return None

    def signature(self, name):
        """Return the `SignatureDef` called `name`.

        Raises:
            ServingError: If the model does not have it.
        """
        if name not in self.signatures:
            raise ServingError(
                400,
                f'Serving signature name: "{name}" not found in signature def. '
                f"Available: {', '.join(sorted(self.signatures))}",
            )
        return self.signatures[name]

    def signature_defs(self):
        """Return all signatures as in TensorFlow Serving's metadata reply."""
        return {
            name: json_format.MessageToDict(
                signature,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            for name, signature in self._definitions.items()
        }

    def run(self, signature_name, inputs, seconds):
        """Run a signature.

        Args:
            signature_name: A key of `signatures`.
            inputs: NumPy arrays by name.
            seconds: Time limit of the run.

        Returns:
            NumPy arrays by name.

        Raises:
            ServingError: If the graph refuses the inputs.
            TimeoutError: If the run takes longer.
        """
        if seconds <= 0:
            raise TimeoutError
        signature = self.signatures[signature_name]
        options = tf.compat.v1.RunOptions(timeout_in_ms=max(1, round(seconds * 1000)))
        try:
            outputs = self._session.run(
                {name: info.name for name, info in signature.outputs.items()},
                {signature.inputs[name].name: value for name, value in inputs.items()},
                options=options,
            )
        except tf.errors.DeadlineExceededError:
            raise TimeoutError from None
        except tf.errors.OpError as error:
            raise from_tensorflow(error) from None
        return {name: np.asarray(value) for name, value in outputs.items()}


def _read_json(path):
    """Return the object in a JSON file, or None if there is none."""
    try:
        with open(path, encoding="utf-8") as opened:
            content = json.load(opened)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
