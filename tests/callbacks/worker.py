"""One worker of a distributed training run; started by `test_workers.py`."""

import json
import os
import pathlib
import signal

import keras
import numpy as np
import tensorflow as tf

from keras_genimg import datasets
from keras_genimg.callbacks import Resume
from tests.callbacks import worker_checks
from tests.callbacks.small_models import make
from tests.untuned import leave_datasets_untuned

BATCH_SIZE = 110  # Not a divisor of the 300 digits: the last batch is uneven.


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


def main(directory, result, kill_after, *names):
    """Train models, and write their weights and what else was found.

    Without TF_CONFIG it trains alone, on the same global batches.

    Args:
        directory: Folder of the states. They are saved at each step, or with
            `"--epochs=4"` at each second one.
        result: Beginning of the paths of files to write.
        kill_after: Number of batches of a model after which the process kills itself;
            0 for never.
        *names: Names of models. With `"--checks"` the worker does what
            `worker_checks.py` says too.
    """
    leave_datasets_untuned()
    directory = pathlib.Path(directory)
    if "TF_CONFIG" in os.environ:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    options = [name for name in names if name.startswith("--")]
    checks = "--checks" in options
    epochs = 4 if "--epochs=4" in options else 2
    found = {}
    for name in (name for name in names if name not in options):
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
                *(worker_checks.pictures(name, result) if checks else ()),
                Resume(directory / name, save_every=epochs // 2),
            ],
        )
        found[name] = history.history
        found[f"{name} of one image"] = model.evaluate(
            np.zeros((1, 8, 8, 1), "uint8"), verbose=0
        )
        np.savez(f"{result}_{name}.npz", *model.get_weights())
        if checks:
            found[f"{name} drew"] = worker_checks.draw(model)
    if checks:
        found["returned"] = worker_checks.write(model, result)
        found["num_steps"] = worker_checks.train_on_unknown_length(model)
        found["data"] = worker_checks.train_on_other_data(strategy)
        found["refused"] = worker_checks.refusals(strategy, directory)
    with open(f"{result}.json", "w") as opened:
        json.dump(found, opened)
