"""Optional dependencies: what to install when one is missing."""

import contextlib


def install_hint(extra):
    """Return the command that installs an extra of `pyproject.toml`, for error texts.

    Args:
        extra: Name of the extra, such as `"examples"`.
    """
    return (
        f'pip install "keras_genimg[{extra}]" where keras_genimg is installed, or '
        f'pip install ".[{extra}]" in a checkout'
    )


@contextlib.contextmanager
def optional(need, extra):
    """Name the extra to install if an import fails.

    Args:
        need: What needs which package, for the error text.
        extra: Name of the extra, such as `"examples"`.

    Raises:
        ImportError: If an import in the body fails.

    Example:
        >>> with optional("PNG files need Pillow", "examples"):
        ...     from PIL import Image
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{need}: {install_hint(extra)}") from error
