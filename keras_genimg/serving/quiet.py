"""Log messages of other libraries."""

import contextlib
import logging


@contextlib.contextmanager
def quiet(name):
    """Let the logger called `name` report errors only."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
