"""Function graphs that are alive, and garbage collection that frees them."""

import gc
import weakref

from tensorflow.python.framework.func_graph import FuncGraph


def graphs():
    """Return the function graphs that are alive."""
    return weakref.WeakSet(o for o in gc.get_objects() if isinstance(o, FuncGraph))


def collect():
    # Some graphs become garbage only after others are collected.
    while gc.collect():
        pass
