"""Metric that reports a value collected elsewhere."""

import keras

from keras_genimg.keras_private import set_direction


class ReportedValue(keras.metrics.Metric):
    """Reports a value that other metrics collect, and the direction of improvement.

    In auto mode, callbacks such as `keras.callbacks.EarlyStopping` look for a value's
    direction only in the metrics of `compile`, not in those of layers.

    Args:
        name: Name of the value in logs.
        direction: `"up"` if larger values are better, else `"down"`.
        value: Function that returns the value, a scalar tensor.
    """

    def __init__(self, name, direction, value):
        super().__init__(name=name)
        set_direction(self, direction)
        self.value = value

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Do nothing, since other metrics collect the value."""

    def result(self):
        return self.value()
