"""A callback that stops training."""

import keras


class Stop(keras.callbacks.Callback):
    """Raise an error after a number of batches, as Ctrl+C does."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_train_batch_end(self, batch, logs=None):
        self.batches -= 1
        if self.batches == 0:
            raise KeyboardInterrupt
