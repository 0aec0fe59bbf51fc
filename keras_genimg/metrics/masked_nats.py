"""Metric of some of the pixels."""

from typing import Any

import keras
import numpy as np

from keras_genimg import likelihoods
from keras_genimg.losses.negative_log_likelihood import masked_log_prob
from keras_genimg.types import Config, Policy, TensorLike


@keras.saving.register_keras_serializable(package="keras_genimg")
class MaskedNats(keras.metrics.Mean):
    """Mean negative log-likelihood of some of the pixels, in nats per image.

    Args:
        likelihood: Name of a likelihood, such as `"bernoulli"`, or a `Likelihood`.
        counted: Whether a pixel counts, a boolean map `(height, width)`.
        name: Name of the metric.
        dtype: Dtype of the metric's computations and state.
    """

    def __init__(
        self,
        likelihood: str | Config | likelihoods.Likelihood,
        counted: Any,
        name: str = "nats",
        dtype: Policy | None = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.likelihood = likelihoods.get(likelihood)
        self.counted = np.asarray(counted, bool)
        # For `EarlyStopping` in auto mode; Keras has no public setting.
        self._direction = "down"

    def update_state(
        self,
        y_true: TensorLike,
        y_pred: TensorLike,
        sample_weight: TensorLike | None = None,
    ) -> Any:
        nats = -masked_log_prob(self.likelihood, self.counted, y_pred, y_true)
        return super().update_state(nats, sample_weight)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
            "counted": self.counted.tolist(),
        }
