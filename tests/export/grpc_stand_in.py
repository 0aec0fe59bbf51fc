"""Stand-in for TensorFlow Serving's gRPC services, for machines without its image.

It uses the official stubs and protocol buffers over a real socket, and runs the real
graphs in a session, like the server. It shows nothing about the server's other
behavior.
"""

import concurrent.futures
import contextlib
import pathlib

import grpc
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)


class StandIn(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """Serves `<base_dir>/<name>/<version>/`, version 1 by the label `stable`.

    Attributes:
        faults: `grpc.StatusCode`s to fail the next predictions with.
        posts: Number of predictions requested.
    """

    def __init__(self, base_dir):
        self.base_dir = pathlib.Path(base_dir)
        self.faults = []
        self.posts = 0
        self._loaded = {}

    def Predict(self, request, context):
        self.posts += 1
        if self.faults:
            context.abort(self.faults.pop(0), "a planted fault\n\t [[and its node]]")
        directory = self._directory(request, context)
        if directory not in self._loaded:
            self._loaded[directory] = _session(directory)
        session, signatures = self._loaded[directory]
        signature = signatures[request.model_spec.signature_name]
        names = {name: info.name for name, info in signature.outputs.items()}
        inputs = {
            signature.inputs[name].name: tf.make_ndarray(proto)
            for name, proto in request.inputs.items()
        }
        try:
            outputs = session.run(names, inputs)
        except tf.errors.InvalidArgumentError as error:
            # Python's words before those of the graph, which are all the server says.
            text = error.message.removeprefix("Graph execution error:").strip()
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        reply = predict_pb2.PredictResponse()
        for name, array in outputs.items():
            reply.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return reply

    def GetModelMetadata(self, request, context):
        directory = self._directory(request, context)
        saved = saved_model_pb2.SavedModel()
        saved.ParseFromString((directory / "saved_model.pb").read_bytes())
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in saved.meta_graphs[0].signature_def.items():
            signatures.signature_def[name].CopyFrom(signature)
        reply = get_model_metadata_pb2.GetModelMetadataResponse()
        reply.metadata["signature_def"].Pack(signatures)
        return reply

    def GetModelStatus(self, request, context):
        self._directory(request, context)
        reply = get_model_status_pb2.GetModelStatusResponse()
        reply.model_version_status.add(
            version=1, state=get_model_status_pb2.ModelVersionStatus.AVAILABLE
        )
        return reply

    def _directory(self, request, context):
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else 1
        directory = self.base_dir / spec.name / str(version)
        if not directory.exists() or spec.version_label not in ("", "stable"):
            context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"Servable not found for request: Specific({spec.name}, {version})",
            )
        return directory


def _session(directory):
    """Return a session with a SavedModel, and its signatures."""
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph)
    with graph.as_default():
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(directory))
    return session, loaded.signature_def


@contextlib.contextmanager
def serving(base_dir, address="127.0.0.1:0"):
    """Run a `StandIn` at an address; give it with its `address`, port included."""
    service = StandIn(base_dir)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    port = server.add_insecure_port(address)
    service.address = f"{address.rpartition(':')[0]}:{port}"
    server.start()
    try:
        yield service
    finally:
        server.stop(grace=None).wait()
