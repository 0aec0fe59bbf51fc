"""Metric of some of the pixels."""

import keras

from keras_genimg.losses.negative_log_likelihood import masked_log_prob


class MaskedNats(keras.metrics.Mean):
    """Mean negative log-likelihood of some of the pixels, in nats per image.

    Args:
        likelihood: A `Likelihood`.
        counted: Whether a pixel counts, a boolean map `(height, width)`.
        name: Name of the metric.
    """

    def __init__(self, likelihood, counted, name):
        super().__init__(name=name)
        self.likelihood = likelihood
        self.counted = counted
        # For `EarlyStopping` in auto mode; Keras has no public setting.
        self._direction = "down"

    def update_state(self, y_true, y_pred, sample_weight=None):
        nats = -masked_log_prob(self.likelihood, self.counted, y_pred, y_true)
        return super().update_state(nats, sample_weight)
