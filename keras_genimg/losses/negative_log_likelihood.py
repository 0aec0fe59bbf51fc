"""Losses of models with a likelihood."""

import keras
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.types import Config, Policy


@keras.saving.register_keras_serializable(package="keras_genimg")
class NegativeLogLikelihood(keras.losses.Loss):
    """Negative log-likelihood of images, in nats per image.

    The loss of an image is the sum over its sub-pixels. It has one value per image,
    which Keras averages over the batch and scales over replicas.

    Args:
        likelihood: Name of a likelihood, such as `"bernoulli"`, or a `Likelihood`.
        reduction: Reduction over the batch: `"sum_over_batch_size"`, `"sum"`, `"mean"`,
            `"mean_with_sample_weight"`, or None for one value per image.
        name: Name of the loss.
        dtype: Dtype of the loss's computations. By default, the float type that Keras
            is set to.

    Call arguments:
        y_true: Images in the likelihood's own range, `(batch, height, width, colors)`.
        y_pred: The likelihood's parameters.

    Example:
        >>> loss = NegativeLogLikelihood("bernoulli")
        >>> float(loss(np.ones((2, 28, 28, 1)), np.zeros((2, 28, 28, 1))))
        543.4273681640625
    """

    def __init__(
        self,
        likelihood: str | Config | likelihoods.Likelihood,
        reduction: str | None = "sum_over_batch_size",
        name: str = "negative_log_likelihood",
        dtype: Policy | None = None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.likelihood = likelihoods.get(likelihood)

    def call(self, y_true, y_pred):
        return -self.likelihood.log_prob_of_images(y_pred, y_true)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
        }


class MaskedNegativeLogLikelihood(NegativeLogLikelihood):
    """Negative log-likelihood of some of the pixels, in nats per image.

    Args:
        likelihood: A `Likelihood`.
        counted: Whether a pixel counts, a boolean map `(height, width)`.
        reduction: See `NegativeLogLikelihood`.
    """

    def __init__(self, likelihood, counted, reduction="sum_over_batch_size"):
        super().__init__(likelihood, reduction)
        self.counted = counted

    def call(self, y_true, y_pred):
        nats = self.likelihood.log_prob_of_pixels(y_pred, y_true)
        return -tf.reduce_sum(tf.where(self.counted, nats, 0.0), axis=(1, 2))


class GivenNats(keras.losses.Loss):
    """Loss of models that return the nats of each image instead of parameters."""

    def call(self, y_true, y_pred):
        return y_pred
