"""Metric of models with an exact likelihood."""

import math
from typing import Any

import keras
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.types import Config, Policy, TensorLike


@keras.saving.register_keras_serializable(package="keras_genimg")
class BitsPerDim(keras.metrics.Mean):
    """Mean negative log-likelihood in bits per sub-pixel.

    Nats per image divided by `ln(2) * height * width * colors`.

    Args:
        likelihood: Name of a likelihood, such as `"bernoulli"`, or a `Likelihood`.
        name: Name of the metric.
        dtype: Dtype of the metric's computations and state. By default, the float type
            that Keras is set to.
        num_dims: Number of sub-pixels of an image, by default those of `y_true`.

    Example:
        >>> metric = BitsPerDim("bernoulli")
        >>> metric.update_state(np.ones((2, 28, 28, 1)), np.zeros((2, 28, 28, 1)))
        >>> float(metric.result())
        1.0

    References:
        van den Oord et al., Pixel Recurrent Neural Networks, 2016, section 5.1.
    """

    def __init__(
        self,
        likelihood: str | Config | likelihoods.Likelihood,
        name: str = "bits_per_dim",
        dtype: Policy | None = None,
        num_dims: int | None = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.num_dims = num_dims
        self.likelihood = likelihoods.get(likelihood)
        # `EarlyStopping` in auto mode reads it; Keras has no public setting.
        self._direction = "down"

    def update_state(
        self,
        y_true: TensorLike,
        y_pred: TensorLike,
        sample_weight: TensorLike | None = None,
    ) -> Any:
        nats = -self.likelihood.log_prob_of_images(y_pred, y_true)
        dims = self.num_dims or tf.math.reduce_prod(tf.shape(y_true)[1:])
        dims = tf.cast(dims, tf.float32)
        bits = nats / dims / math.log(2)
        return super().update_state(bits, sample_weight)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
            "num_dims": self.num_dims,
        }
