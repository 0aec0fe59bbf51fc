"""How to install what the scripts need, which run without keras_genimg."""

INSTALL_HINT = 'run pip install ".[serving]" in the checkout that holds this script'
