"""Parts of `client.py`: a client of TensorFlow Serving, by REST or gRPC.

Imports neither Keras nor keras_genimg, and TensorFlow for gRPC only.
"""

from .errors import ClientError
from .image_client import ImageClient
from .retries import Retries

__all__ = ["ClientError", "ImageClient", "Retries"]
