"""A client of TensorFlow Serving, by REST or gRPC.

Runs without Keras and keras_genimg; only `genimg_export.clients.grpc` needs TensorFlow.
"""

from .image_client import ClientError, ImageClient

__all__ = ["ClientError", "ImageClient"]
