"""A value that is reported with the metrics."""

import keras


class ReportedValue(keras.metrics.Metric):
    """Reports a value that other metrics collect, and which way it improves.

    `keras.callbacks.EarlyStopping` and the like, in auto mode, look for the direction
    of a value among the metrics of `compile` alone, not among those of layers.

    Args:
        name: Name of the value in logs.
        direction: `"up"` or `"down"`.
        value: Function that returns the value, a scalar tensor.
    """

    def __init__(self, name, direction, value):
        super().__init__(name=name)
        # Keras has no public way to say it.
        self._direction = direction
        self.value = value

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Do nothing, since other metrics collect the value."""

    def result(self):
        return self.value()
