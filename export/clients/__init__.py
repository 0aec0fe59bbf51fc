"""A client of TensorFlow Serving, by REST or gRPC.

Runs without Keras and keras_genimg; only `genimg_export.clients.grpc` needs TensorFlow.
"""

from .errors import ClientError
from .image_client import ImageClient
from .retries import Retries

__all__ = ["ClientError", "ImageClient", "Retries"]
