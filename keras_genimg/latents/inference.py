"""Bounds of the log-probability, from samples of latent variables."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from keras_genimg.ops.uniforms import POSTERIOR
from keras_genimg.types import Stream, TensorLike

# Largest number of an image's samples that are evaluated as one batch.
_MOST_SAMPLES = 100


class Inference(NamedTuple):
    """Terms of the bound, for one sample of each image's latent variables.

    Attributes:
        params: Parameters of the likelihood.
        log_likelihood: `log p(x | z)` in nats, `(batch,)`.
        log_ratio: `log p(z) - log q(z | x)` in nats, `(batch,)`.
        kl: The KL divergence of the posterior from the prior in nats, as estimated by
            the model, `(batch,)`.
    """

    params: tf.Tensor
    log_likelihood: tf.Tensor
    log_ratio: tf.Tensor
    kl: tf.Tensor


def repeated(batch, copies):
    """Return each example `copies` times in a row, or `batch` itself for None."""
    return batch if copies is None else tf.repeat(batch, copies, axis=0)


class Infer(Protocol):
    """Function that a model with latent variables infers them by, for a graph."""

    def __call__(
        self, images: TensorLike, copies: int | tf.Tensor | None = None
    ) -> Callable[[TensorLike, Stream], Inference]:
        """Return a function that samples latent variables, see `LatentModel.infer`."""
        ...


def mean_elbo(infer: Infer, images, seeds, num_samples):
    """Return the mean ELBO over samples in nats, for a graph.

    Args:
        infer: `LatentModel.infer`.
        images: `(batch, height, width, colors)`.
        seeds: Integers from 0 to `MAX_SEED`, `(batch,)`.
        num_samples: Scalar, samples of the latent variables per image.
    """
    draw = infer(images)

    def step(k, elbo):
        sample = draw(seeds, POSTERIOR + k)
        return k + 1, elbo + sample.log_likelihood - sample.kl

    _, elbo = tf.while_loop(
        lambda k, _: k < num_samples, step, (0, tf.zeros(tf.shape(seeds)))
    )
    return elbo / tf.cast(num_samples, tf.float32)


def importance_weighted_bound(infer: Infer, images, seeds, num_samples):
    """Return the importance-weighted bound in nats, for a graph.

    The result for an image does not depend on the other images of its batch. The last
    bits of a matrix product depend on the number of rows, so images are evaluated one
    by one, and the samples of an image as one batch.

    Args:
        infer: `LatentModel.infer`.
        images: `(batch, height, width, colors)`.
        seeds: Integers from 0 to `MAX_SEED`, `(batch,)`.
        num_samples: Scalar, samples of the latent variables per image.

    References:
        Burda, Grosse and Salakhutdinov, Importance Weighted Autoencoders, 2015,
        equation 8, https://arxiv.org/abs/1509.00519
    """
    loops = -(-num_samples // _MOST_SAMPLES)
    copies = -(-num_samples // loops)

    def bound(inputs):
        image, seed = inputs
        draw = infer(image[None], copies=copies)
        same_seed = tf.fill([copies], seed)

        def step(start, log_sum):
            k = start + tf.range(copies)
            sample = draw(same_seed, POSTERIOR + k)
            log_weights = sample.log_likelihood + sample.log_ratio
            log_weights = tf.where(k < num_samples, log_weights, -np.inf)
            log_sum = tf.concat([log_sum[None], log_weights], axis=0)
            return start + copies, tf.reduce_logsumexp(log_sum)

        _, log_sum = tf.while_loop(
            lambda start, _: start < num_samples, step, (0, tf.constant(-np.inf))
        )
        return log_sum - tf.math.log(tf.cast(num_samples, tf.float32))

    return tf.map_fn(bound, (images, seeds), fn_output_signature=tf.float32)
