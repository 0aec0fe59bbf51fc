"""One worker of a distributed training run; started by `test_workers.py`."""

import os
import pathlib
import pickle
import signal

import keras
import numpy as np
import tensorflow as tf

from keras_genimg import datasets
from keras_genimg.callbacks import Resume
from keras_genimg.models import DRAW, VAE, PixelCNN, PixelRNN
from tests.callbacks import worker_checks
from tests.untuned import leave_datasets_untuned

SHAPE = (8, 8, 1)
BATCH_SIZE = 110  # Not a divisor of the 300 digits: the last batch is uneven.
SMALL = {"head_filters": 2, "first_kernel_size": 3}
FAMILIES = {
    "PixelCNN": lambda: PixelCNN(SHAPE, 2, 1, **SMALL),
    "PixelRNN_row": lambda: PixelRNN(SHAPE, 2, 1, layer="row", **SMALL),
    "PixelRNN_diagonal": lambda: PixelRNN(SHAPE, 2, 1, layer="diagonal", **SMALL),
    "VAE": lambda: VAE(SHAPE, 2, 4, num_samples=2),
    "DRAW": lambda: DRAW(SHAPE, 2, 4, 2, read_size=3, write_size=3),
}


def make(name, strategy):
    """Return a new compiled model, the same in each process."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = FAMILIES[name]()
        model.compile(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))
    return model


class Kill(keras.callbacks.Callback):
    """Kill this process after a number of steps; 0 for never."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def _iterations(self):
        return int(self.model.optimizer.iterations.numpy())

    def on_train_begin(self, logs=None):
        self._last = self._iterations() + self.steps

    def on_train_batch_end(self, batch, logs=None):
        # Batches that were trained before are skipped, but reported here.
        if self.steps and self._iterations() >= self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def main(directory, result, kill_after, models=("VAE",), epochs=2, checks=False):
    """Train models, and write what was found, a dict, to the path `result`.

    Without TF_CONFIG it trains alone, on the same global batches. `directory` is for
    the states. They are saved at each step, or with four epochs at each second one.
    After `kill_after` batches of a model, the process kills itself; 0 is for never.
    With `checks`, it does what `worker_checks.py` says too.
    """
    leave_datasets_untuned()
    directory, files = pathlib.Path(directory), pathlib.Path(f"{result}_files")
    if "TF_CONFIG" in os.environ:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    found = {}
    for name in models:
        model = make(name, strategy)
        train = datasets.load(
            "digits", "test", BATCH_SIZE, shuffle=True, binarize="dynamic", seed=1
        )
        history = model.fit(
            train,
            epochs=epochs,
            verbose=0,
            validation_data=datasets.load("digits", "test", 150, binarize="fixed"),
            callbacks=[
                Kill(kill_after),
                *(worker_checks.pictures(files) if checks and name == "VAE" else ()),
                Resume(directory / name, save_every=epochs // 2),
            ],
        )
        one_image = model.evaluate(np.zeros((1, *SHAPE), "uint8"), verbose=0)
        found[name] = {**history.history, "one image": one_image}
        found[name]["weights"] = model.get_weights()
        if checks:
            found[f"{name} drew"] = worker_checks.draw(model)
    if checks:
        found["returned"] = worker_checks.write(model, files)
        worker_checks.check_unknown_length(model)
        found["read"], found["trained"] = worker_checks.train_on_other_data(strategy)
        worker_checks.check_refusals(strategy, directory)
    pathlib.Path(result).write_bytes(pickle.dumps(found))
