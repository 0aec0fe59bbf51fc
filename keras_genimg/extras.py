"""Installation hints for optional dependencies."""


def install_hint(extra):
    """Return the command that installs an extra of `pyproject.toml`, for error texts.

    Args:
        extra: Name of the extra, such as `"examples"`.
    """
    return (
        f'pip install "keras_genimg[{extra}]" where keras_genimg is installed, or '
        f'pip install ".[{extra}]" in a checkout'
    )
