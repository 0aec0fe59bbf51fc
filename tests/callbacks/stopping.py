"""Images to train on, and a callback that stops training."""

import keras
import numpy as np


def random_images(shape):
    """Return 20 binary images."""
    images = np.random.default_rng(0).integers(2, size=(20, *shape))
    return images.astype("uint8")


class Stop(keras.callbacks.Callback):
    """Raise an error after a number of batches, as Ctrl+C does."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_train_batch_end(self, batch, logs=None):
        self.batches -= 1
        if self.batches == 0:
            raise KeyboardInterrupt
