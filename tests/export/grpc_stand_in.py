"""Stand-in for TensorFlow Serving's gRPC services, for machines without its image.

It uses the official stubs and protocol buffers over a real socket, and the sessions of
the embedded server. It shows nothing about the real server's other behavior.
"""

import concurrent.futures
import contextlib
import functools
import pathlib

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from genimg_export.server.errors import ServingError
from genimg_export.server.models import LoadedModel


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
        self._load = functools.cache(LoadedModel)

    def Predict(self, request, context):
        self.posts += 1
        if self.faults:
            context.abort(self.faults.pop(0), "a planted fault\n\t [[and its node]]")
        model, name = self._model(request, context), request.model_spec.signature_name
        inputs = {k: tf.make_ndarray(proto) for k, proto in request.inputs.items()}
        try:
            outputs = model.run(name, inputs, seconds=60)
        except ServingError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        reply = predict_pb2.PredictResponse()
        for name, array in outputs.items():
            reply.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return reply

    def GetModelMetadata(self, request, context):
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in self._model(request, context).signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
        reply = get_model_metadata_pb2.GetModelMetadataResponse()
        reply.metadata["signature_def"].Pack(signatures)
        return reply

    def GetModelStatus(self, request, context):
        self._model(request, context)
        reply = get_model_status_pb2.GetModelStatusResponse()
        reply.model_version_status.add(
            version=1, state=get_model_status_pb2.ModelVersionStatus.AVAILABLE
        )
        return reply

    def _model(self, request, context):
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else 1
        directory = self.base_dir / spec.name / str(version)
        if not directory.exists() or spec.version_label not in ("", "stable"):
            context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"Servable not found for request: Specific({spec.name}, {version})",
            )
        return self._load(str(directory))


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
