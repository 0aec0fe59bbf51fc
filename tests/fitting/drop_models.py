"""Create, train and drop models, and print what each kind leaves behind."""

import gc
import sys
import weakref

import keras
import numpy as np
from tensorflow.python.framework.func_graph import FuncGraph

from keras_genimg.models import DRAW, PixelRNN

SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(4, *SHAPE)).astype("uint8")


MODELS = {
    "row": lambda: PixelRNN(SHAPE, 2, 1, "row", head_filters=2),
    "diagonal": lambda: PixelRNN(SHAPE, 2, 1, head_filters=2),
    "draw": lambda: DRAW(SHAPE, 2, 3, 2, read_size=2, write_size=2),
}


def graphs():
    """Return the function graphs that are alive."""
    return weakref.WeakSet(o for o in gc.get_objects() if isinstance(o, FuncGraph))


def megabytes():
    """Return the resident memory of the process in megabytes."""
    with open("/proc/self/statm") as opened:
        return int(opened.read().split()[1]) * 4096 / 1e6


def collect():
    # Some graphs become garbage only after others are collected.
    while gc.collect():
        pass


def fit_and_drop(make):
    """Train a model and drop it; return the number of graphs just before."""
    model = make()
    model.compile(keras.optimizers.SGD(0.01))
    model.fit(IMAGES, batch_size=2, verbose=0)
    return len(graphs())


def main(num_models=20):
    """Print graphs left and memory growth per model, by kind."""
    # Imported objects stay alive, so exclude them from garbage collection.
    gc.collect()
    gc.freeze()
    for name, make in MODELS.items():
        for _ in range(2):
            fit_and_drop(make)
        collect()
        before, known = megabytes(), graphs()
        for _ in range(num_models):
            fit_and_drop(make)
            collect()
        grown = (megabytes() - before) / num_models
        print(name, len(graphs() - known), f"{grown:.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
