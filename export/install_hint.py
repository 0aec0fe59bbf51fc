"""How to install the extra `serving`, for modules that run without keras_genimg."""

INSTALL_HINT = (
    'run pip install "keras_genimg[serving]" where keras_genimg is installed, or '
    'pip install ".[serving]" in a checkout'
)
