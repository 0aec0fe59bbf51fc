"""A SavedModel that this library exported, and one of its signatures."""

import os

from ..labels import label_of
from ..metadata import content_hash, read_metadata
from ..quiet_start import import_tensorflow
from .shards import BulkError


class SavedModel:
    """What the metadata of a SavedModel say of a signature.

    Args:
        directory: Path of the SavedModel, as `genimg-export` writes it.
        signature: Name of the signature.

    Attributes:
        directory: Absolute path, str.
        metadata: What the model's file of metadata holds.
        image_shape: Height, width and colors of the model's images.
        inputs: Metadata of the signature's inputs by name.
        max_examples: Most examples of a call.

    Raises:
        BulkError: If the directory holds no SavedModel of this library, or one without
            the signature.
    """

    def __init__(self, directory, signature):
        self.directory = os.path.abspath(directory)
        self.signature = signature
        if not os.path.exists(os.path.join(self.directory, "saved_model.pb")):
            raise BulkError(
                f"{directory} has no saved_model.pb. Give the directory of a version, "
                f"such as models/digits/1"
            )
        try:
            self.metadata = read_metadata(self.directory)
            found = self.metadata["signatures"]
            self.image_shape = tuple(self.metadata["image_shape"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BulkError(
                f"{directory} was not exported by keras_genimg: its metadata cannot be "
                f"read ({type(error).__name__}: {error})"
            ) from None
        if signature not in found:
            raise BulkError(
                f"the model has no signature {signature}; it has "
                f"{', '.join(sorted(found))}"
            )
        self.inputs = found[signature]["inputs"]
        self.max_examples = found[signature]["max_examples"]

    def check(self, allowed, batch_size):
        """Check that the signature can be called.

        Args:
            allowed: Names of the inputs that the caller has values for.
            batch_size: Examples per call.

        Raises:
            BulkError: If it needs other inputs, or takes fewer examples.
        """
        others = sorted(set(self.inputs) - set(allowed))
        if others:
            raise BulkError(
                f"{self.signature} of this model also needs {', '.join(others)}, which "
                f"bulk work has no values for"
            )
        if batch_size > self.max_examples:
            raise BulkError(
                f"the model takes at most {self.max_examples} images a call; "
                f"--batch-size is {batch_size}"
            )

    def check_range(self, name, lowest, highest):
        """Check values of an input against the range in the metadata.

        Raises:
            BulkError: If they are outside it.
        """
        given = self.inputs[name]
        low, high = given["low"], given["high"]
        if (low is not None and lowest < low) or (high is not None and highest > high):
            raise BulkError(
                f"{name} must be {given['must_be']}; given: {lowest} to {highest}"
            )

    @property
    def class_names(self):
        """Names of the classes in the order of their labels; empty if unknown."""
        return self.metadata.get("class_names", [])

    def label_of(self, given):
        """Return the label of a class that a command line names; see `label_of`.

        Raises:
            BulkError: If the model has no such class.
        """
        try:
            return label_of(given, self.class_names, self.directory)
        except ValueError as error:
            raise BulkError(str(error)) from None

    def sha256(self):
        """Return the SHA-256 of graph, weights and metadata, which identifies a model.

        It is what `genimg-verify` prints.

        Raises:
            BulkError: If it differs from the one that the metadata recorded.
        """
        found = content_hash(self.directory, self.metadata)
        expected = self.metadata.get("sha256", found)  # Earlier exports have none.
        if found != expected:
            raise BulkError(
                f"{self.directory} has the SHA-256 {found}, but its metadata.json "
                f"expects {expected}: a file or an entry of the metadata was changed, "
                f"added or lost. Copy the directory again, or export the model again"
            )
        return found

    def load(self, threads=None):
        """Load the model; return a function from inputs to outputs by name.

        Args:
            threads: Number of TensorFlow's threads, or None for its default.
        """
        import_tensorflow()
        import tensorflow as tf
        from absl import logging

        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        logging.set_verbosity("error")  # It warns that there are no gradients.
        loaded = tf.saved_model.load(self.directory)
        # Threads of a worker must not compute images together: the numbers of a shard
        # would depend on what else was running.
        unmerged = getattr(loaded, "unmerged", {})
        call = unmerged.get(self.signature) or loaded.signatures[self.signature]

        def run(**inputs):
            inputs = {
                name: tf.constant(value, self.inputs[name]["dtype"])
                for name, value in inputs.items()
            }
            return {name: value.numpy() for name, value in call(**inputs).items()}

        run.model = loaded  # A signature does not keep its variables alive.
        return run
