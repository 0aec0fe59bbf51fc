"""One worker of a distributed training run; started by `test_workers.py`.

    worker.py DIRECTORY RESULT KILL_AFTER MODEL...

Without TF_CONFIG it trains alone, on the same global batches. The worker writes weights
and history to RESULT. After KILL_AFTER batches of a model it kills itself; with 0, it
does not.
"""

import json
import os
import signal
import sys

import keras
import numpy as np
import tensorflow as tf

from keras_genimg import datasets
from keras_genimg.callbacks import Resume
from keras_genimg.models import VAE, PixelCNN

BATCH_SIZE = 110  # Not a divisor of the 300 digits: the last batch is uneven.


class Kill(keras.callbacks.Callback):
    """Kill this process after a number of batches."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_train_batch_end(self, batch, logs=None):
        self.batches -= 1
        if self.batches == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def make(name, strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        if name == "VAE":
            model = VAE((8, 8, 1), 2, 4, num_samples=2)
        else:
            model = PixelCNN((8, 8, 1), 2, 1, head_filters=2, first_kernel_size=3)
        model.compile(keras.optimizers.Adam(0.01))
    return model


def main(directory, result, kill_after, *names):
    if "TF_CONFIG" in os.environ:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    found = {}
    for name in names:
        model = make(name, strategy)
        train = datasets.load(
            "digits", "test", BATCH_SIZE, shuffle=True, binarize="dynamic", seed=1
        )
        history = model.fit(
            train,
            epochs=2,
            verbose=0,
            validation_data=datasets.load("digits", "test", 150, binarize="fixed"),
            callbacks=[
                Kill(int(kill_after)),
                Resume(os.path.join(directory, name), save_every=1),
            ],
        )
        found[name] = history.history
        found[f"{name} of one image"] = model.evaluate(
            np.zeros((1, 8, 8, 1), "uint8"), verbose=0
        )
        np.savez(f"{result}_{name}.npz", *model.get_weights())
    with open(f"{result}.json", "w") as opened:
        json.dump(found, opened)


if __name__ == "__main__":
    main(*sys.argv[1:])
