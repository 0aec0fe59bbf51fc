"""Contents of a SavedModel's graph, read without running it."""

import dataclasses
import os
import pathlib

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from .metadata import read_metadata

TAG = "serve"
# Prefixes of ops that need more. The first three are Python's alone.
REFUSED = ("PyFunc", "EagerPyFunc", "AudioMicrofrontend", "Xla", "Cudnn")
SENDABLE = (tf.float32, tf.uint8, tf.int32, tf.int64, tf.bool, tf.string)
HIDDEN = "__saved_model"  # Prefix of the operations that run on loading.


@dataclasses.dataclass(frozen=True)
class Signature:
    """A signature of a SavedModel.

    Attributes:
        name: Its name.
        inputs: Dict by name of `tf.TensorSpec`, with the tensor's name in the graph.
        outputs: The same of the outputs.
        metadata: Its part of the metadata, see `saved_metadata`; may be empty.
    """

    name: str
    inputs: dict
    outputs: dict
    metadata: dict

    @property
    def needs_xla(self):
        """Whether the name marks it as needing a server with XLA."""
        return self.name.endswith("_xla")

    @property
    def can_be_called(self):
        """Whether clients can send all inputs, and all begin with the batch."""
        inputs = self.inputs.values()
        return all(spec.dtype in SENDABLE and is_batched(spec) for spec in inputs)

    def described(self, name):
        """Return the metadata of an input, see `Input.metadata`; may be empty."""
        return self.metadata.get("inputs", {}).get(name, {})


def is_batched(spec):
    """Return whether the first axis of a `tf.TensorSpec` may have any size."""
    return bool(spec.shape.rank) and spec.shape[0] is None


class SavedGraph:
    """The graph and the signatures of a SavedModel.

    Args:
        directory: Path of the SavedModel.
    """

    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        content = pathlib.Path(directory, "saved_model.pb").read_bytes()
        saved = saved_model_pb2.SavedModel.FromString(content)
        found = [m for m in saved.meta_graphs if TAG in m.meta_info_def.tags]
        if not found:
            raise ValueError(f"saved_model.pb has no graph with the tag {TAG!r}")
        self.tags = list(found[0].meta_info_def.tags)
        self.metadata = read_metadata(directory)
        described = dict(self.metadata.get("signatures", {}))
        described["serving_default"] = described.get("sample", {})
        self.signatures = {}
        for name, given in sorted(found[0].signature_def.items()):
            if not name.startswith(HIDDEN):
                specs = _specs(given.inputs), _specs(given.outputs)
                metadata = described.get(name, {})
                self.signatures[name] = Signature(name, *specs, metadata)
        if not self.plain_signatures:
            raise ValueError("saved_model.pb has no signature that runs without XLA")
        graph = found[0].graph_def
        self._nodes = {node.name: node for node in graph.node}
        self._functions = {f.signature.name: f for f in graph.library.function}

    @property
    def plain_signatures(self):
        """List of the signatures that need no XLA."""
        return [s for s in self.signatures.values() if not s.needs_xla]

    def refused_parts(self, signature):
        """Return names of ops and functions that need more than a server has."""
        nodes, functions = self._reached(signature)
        parts = {node.op for node in nodes if node.op.startswith(REFUSED)}
        for attr in (part.attr for part in (*nodes, *functions)):
            if "_XlaMustCompile" in attr and attr["_XlaMustCompile"].b:
                parts.add("_XlaMustCompile")
        return sorted(parts)

    def queues(self):
        """Return a dict by queue of lists of signatures by function."""
        queues = {}
        for name, signature in self.signatures.items():
            for node in self._reached(signature)[0]:
                if node.op == "BatchFunction":
                    # TensorFlow falls back to the name of the node.
                    queue = node.attr["shared_name"].s.decode() or node.name
                    functions = queues.setdefault(queue, {})
                    functions.setdefault(node.attr["f"].func.name, []).append(name)
        return queues

    def _reached(self, signature):
        """Return two lists, of the nodes and of the functions that a signature runs."""
        names = [tensor.name for tensor in signature.outputs.values()]
        nodes = {}
        while names:
            name = names.pop().lstrip("^").partition(":")[0]
            if name in self._nodes and name not in nodes:
                nodes[name] = self._nodes[name]
                names.extend(nodes[name].input)
        functions = self._called(nodes.values())
        inner = [node for function in functions for node in function.node_def]
        return [*nodes.values(), *inner], functions

    def _called(self, nodes):
        """Return a list of the functions that nodes call, also through others."""
        called = {}

        def visit(nodes):
            for node in nodes:
                attrs = node.attr.values()
                inner = [f.name for attr in attrs for f in (attr.func, *attr.list.func)]
                for name in (node.op, *inner):
                    if name in self._functions and name not in called:
                        called[name] = self._functions[name]
                        visit(called[name].node_def)

        visit(nodes)
        return list(called.values())


def _specs(infos):
    return {
        name: tf.TensorSpec(info.tensor_shape, info.dtype, info.name)
        for name, info in sorted(infos.items())
    }
