"""TensorFlow Serving by gRPC, with its official stubs."""

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from .image_client import ClientError, Signature, Tensor, Unavailable, first_line

TRY_AGAIN = {
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
}


class GrpcModel:
    """A model behind the gRPC interface.

    Args:
        address: `host:port`.
        model: Name of the model.
        version: Number of a version, or None.
        label: Label of a version, or None. With neither, the newest is used.
        timeout: Seconds to wait for a reply.
    """

    def __init__(self, address, model, version=None, label=None, timeout=120):
        # A batch of images may be larger than gRPC's default limit of 4 MB.
        channel = grpc.insecure_channel(
            address, options=[("grpc.max_receive_message_length", -1)]
        )
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(channel)
        self._address, self._timeout = address, timeout
        self._model, self._version, self._label = model, version, label

    def predict(self, signature, inputs):
        """Return the outputs of a signature, as arrays by name.

        Args:
            signature: `Signature`.
            inputs: Arrays by name, of the signature's types.

        Raises:
            Unavailable: If it may succeed when sent again.
            ClientError: If it fails for another reason.
        """
        request = self._addressed(predict_pb2.PredictRequest())
        request.model_spec.signature_name = signature.name
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        reply = self._call(self._predictions.Predict, request)
        return {name: tf.make_ndarray(value) for name, value in reply.outputs.items()}

    def signatures(self):
        """Return the `Signature`s of the model by name."""
        request = self._addressed(get_model_metadata_pb2.GetModelMetadataRequest())
        request.metadata_field.append("signature_def")
        reply = self._call(self._predictions.GetModelMetadata, request)
        found = get_model_metadata_pb2.SignatureDefMap()
        reply.metadata["signature_def"].Unpack(found)
        return {
            name: Signature(
                name, _tensors(definition.inputs), _tensors(definition.outputs)
            )
            for name, definition in found.signature_def.items()
            if not name.startswith("__")
        }

    def metadata(self):
        """Return no metadata of the export, which gRPC does not send."""
        return {}

    def versions(self):
        """Return a list of `(number, state, error)` of the model's versions.

        The error is an empty text for a version that did not fail.
        """
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self._model
        reply = self._call(self._models.GetModelStatus, request)
        states = get_model_status_pb2.ModelVersionStatus.State
        found = []
        for version in reply.model_version_status:
            error = ""
            if version.status.error_code:
                code = f"error code {version.status.error_code}"
                error = first_line(version.status.error_message) or code
            found.append((version.version, states.Name(version.state), error))
        return found

    def _addressed(self, request):
        request.model_spec.name = self._model
        if self._version is not None:
            request.model_spec.version.value = int(self._version)
        elif self._label is not None:
            request.model_spec.version_label = self._label
        return request

    def _call(self, method, request):
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            text = f"{first_line(error.details() or '')} (gRPC {error.code().name})"
            if error.code() in TRY_AGAIN:
                raise Unavailable(f"{self._address}: {text}") from None
            raise ClientError(text) from None


def _tensors(described):
    return {
        name: Tensor(
            tf.as_dtype(info.dtype).name,
            tuple(dim.size for dim in info.tensor_shape.dim),
        )
        for name, info in described.items()
    }
