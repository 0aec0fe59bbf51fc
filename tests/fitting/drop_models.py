"""Create, train and drop models, and print what each kind leaves behind."""

import gc
import sys
import weakref

import keras
import numpy as np
from tensorflow.python.framework.func_graph import FuncGraph

from keras_genimg.layers import DiagonalBiLSTM, MaskedConv2D, RowLSTM
from keras_genimg.models import DRAW, AutoregressiveModel

SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(4, *SHAPE)).astype("uint8")


def layers():
    """Return a small model of both recurrent layers."""
    images = keras.Input(SHAPE)
    x = RowLSTM(2)(MaskedConv2D(2, 3, "A")(images))
    x = DiagonalBiLSTM(2, num_segments=1)(x)
    model = AutoregressiveModel(images, MaskedConv2D(1, 1, "B")(x))
    model.check_causality = False
    return model


def draw():
    """Return a small DRAW."""
    return DRAW(SHAPE, 2, 3, 2, read_size=2, write_size=2)


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
    for make in (layers, draw):
        for _ in range(2):
            fit_and_drop(make)
        collect()
        before, known = megabytes(), graphs()
        for _ in range(num_models):
            fit_and_drop(make)
            collect()
        grown = (megabytes() - before) / num_models
        print(make.__name__, len(graphs() - known), f"{grown:.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
