"""How to install an extra, for modules that run without keras_genimg."""


def install_hint(extra):
    """Return how to install an extra of keras_genimg."""
    return (
        f'run pip install "keras_genimg[{extra}]" where keras_genimg is installed, or '
        f'pip install ".[{extra}]" in a checkout'
    )
