"""Parts of `client.py`: a client of TensorFlow Serving, by REST or gRPC.

Imports neither Keras nor keras_genimg, and TensorFlow for gRPC only.
"""

from clients.errors import ClientError
from clients.image_client import ImageClient
from clients.retries import Retries

__all__ = ["ClientError", "ImageClient", "Retries"]
