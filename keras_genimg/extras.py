"""Optional dependencies: what to install when one is missing."""

import contextlib


@contextlib.contextmanager
def optional(need, extra):
    """Name the extra to install if an import fails.

    Args:
        need: What needs which package, for the error text.
        extra: Name of the extra of `pyproject.toml`, such as `"examples"`.

    Raises:
        ImportError: If an import in the body fails.

    Example:
        >>> with optional("PNG files need Pillow", "examples"):
        ...     from PIL import Image
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f'{need}: pip install "keras_genimg[{extra}]" where keras_genimg is '
            f'installed, or pip install ".[{extra}]" in a checkout'
        ) from error


def import_probability():
    """Return TensorFlow Probability.

    Functions import it where they need it, since a new TensorFlow may be ahead of it.
    Models without latent variables then work all the same.

    Raises:
        ImportError: If it cannot be imported.
    """
    try:
        import tensorflow_probability
    except ImportError as error:
        raise ImportError(
            f"TensorFlow Probability is needed here, as for all latent variables, and "
            f'cannot be imported: {error}. Run pip install "tensorflow-probability[tf]"'
        ) from error
    return tensorflow_probability
