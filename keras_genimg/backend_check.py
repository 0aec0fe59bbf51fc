"""Refuses backends other than TensorFlow."""

import os

BACKEND = "tensorflow"


def check_backend(backend: str) -> None:
    """Raise if Keras runs, or is about to run, on another backend.

    Args:
        backend: Name of Keras' backend.

    Raises:
        ImportError: If it is not TensorFlow.
    """
    if backend != BACKEND:
        raise ImportError(
            "keras_genimg needs Keras' TensorFlow backend. Set the environment "
            "variable KERAS_BACKEND=tensorflow before Keras is imported, or remove it "
            'and the "backend" of ~/.keras/keras.json. '
            f"Received: backend {backend!r}"
        )


# Before `import keras`, which fails if the packages of the backend are not installed.
# Like Keras, take an empty variable for none.
check_backend(os.environ.get("KERAS_BACKEND") or BACKEND)

import keras  # noqa: E402

check_backend(keras.config.backend())
