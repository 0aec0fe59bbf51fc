"""Completion of images by sampling importance resampling."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_genimg.likelihoods import Categorical
from keras_genimg.model_types import PixelModel
from keras_genimg.ops.uniforms import CANDIDATES, CHOICE, seeded_uniforms
from keras_genimg.sampling.forward_passes import forward_pass
from keras_genimg.sampling.pixel_sampler import PixelSampler
from keras_genimg.types import Array, AxisSize, TensorLike


def temperatures(temperature: float | TensorLike) -> tf.Tensor:
    """Return temperatures that broadcast against images, none below 1e-30.

    Logits divided by less overflow, and their softmax is not a number. At 1e-30, the
    likeliest value is sampled all the same.

    Args:
        temperature: Numbers above 0, a scalar or `(batch,)`.

    Returns:
        Float32 of shape `(1 or batch, 1, 1, 1)`.
    """
    return tf.reshape(tf.maximum(temperature, 1e-30), (-1, 1, 1, 1))


def completion_of_candidates(
    model: PixelModel,
    sample: PixelSampler,
    order: Array | None,
    num_candidates: int,
    seeds: tf.Tensor,
    temperature: tf.Tensor,
    images: tf.Tensor,
    known: tf.Tensor,
    conditions: Sequence[tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Complete images by sampling importance resampling, for a graph.

    Candidates are sampled in raster order, so they do not depend on the known pixels
    after their first unknown one. Each candidate is weighted by the probability of
    those pixels:

        log w[k] = sum of log p(x[k, i] | x[k, 0], ..., x[k, i - 1])
                   over known sub-pixels i after the first unknown one

    and one is chosen with probability `w[k] / sum(w)`. As the number of candidates
    grows, the result approaches a sample of the unknown pixels given all known ones.
    The effective sample size, `sum(w)**2 / sum(w**2)`, measures the quality of this
    approximation.

    Args:
        model: An `AutoregressiveModel`.
        sample: The function that samples the pixels of candidates.
        order: See `later_known`.
        num_candidates: Number of candidates per image, at least 2.
        seeds: Integers of shape `(batch,)`.
        temperature: Result of `temperatures`.
        images: Float32 images, whose shape is known except for the batch.
        known: 1 at known pixels, else 0; it broadcasts against the images.
        conditions: The model's inputs besides the images, in order.

    Returns:
        Float32 images, and effective sample sizes of shape `(batch,)`.

    References:
        Rubin, Using the SIR algorithm to simulate posterior distributions, 1988.
    """
    batch, image_shape = tf.shape(seeds)[0], images.shape[1:].as_list()
    known = tf.broadcast_to(known, (batch, *image_shape))
    temperature, given, given_known, *conditions = (
        tf.repeat(tensor, num_candidates, axis=0)
        for tensor in (
            tf.broadcast_to(temperature, (batch, 1, 1, 1)),
            tf.broadcast_to(images, (batch, *image_shape)),
            known,
            *conditions,
        )
    )
    uniforms = candidate_uniforms(seeds, image_shape, num_candidates)
    candidates = sample(uniforms, temperature, conditions, given, given_known)
    params = forward_pass(model, candidates, conditions)
    params = model.likelihood.at_temperature(params, temperature)
    log_prob = model.likelihood.log_prob_of_pixels(params, candidates)
    evidence = later_known(known, order)
    shape = (batch, num_candidates, *image_shape)
    log_prob = tf.where(evidence[:, None], tf.reshape(log_prob, shape[:-1]), 0.0)
    # Sum in float64: a large image has thousands of nats, which float32 resolves to
    # thousandths. Differences of a few nats decide.
    sums = tf.reduce_sum(tf.cast(log_prob, tf.float64), axis=(2, 3))
    # Only ratios of weights count. The largest weight becomes 1, so none overflows.
    largest = tf.reduce_max(sums, axis=1, keepdims=True)
    log_weights = tf.cast(sums - largest, tf.float32)
    uniforms = seeded_uniforms(seeds, (), (CHOICE, 0))
    sampled = Categorical(num_candidates).sample(log_weights, uniforms)
    # If no known pixel follows an unknown one, all candidates are exact samples. The
    # first one is that of a call without candidates.
    has_evidence = tf.reduce_any(evidence, axis=(1, 2))
    chosen = tf.where(has_evidence, tf.cast(sampled, tf.int32), 0)
    candidates = tf.reshape(candidates, shape)
    completed = tf.gather(candidates, chosen, axis=1, batch_dims=1)
    return completed, effective_size(log_weights)


def candidate_uniforms(
    seeds: tf.Tensor, shape: Sequence[AxisSize], num_candidates: int
) -> tf.Tensor:
    """Return the random numbers of all candidates, grouped by image.

    Candidate 0 uses the numbers of `generate`. Candidate `k` uses its own stream of the
    same seed, so it does not depend on the number of candidates.

    Args:
        seeds: Integers of shape `(batch,)`.
        shape: Shape of the numbers of one candidate.
        num_candidates: Number of candidates per image, at least 2.

    Returns:
        Float32 uniform numbers of shape `(batch * num_candidates, *shape)`.
    """
    batch = tf.shape(seeds)[0]
    first = seeded_uniforms(seeds, shape)
    # TensorFlow takes a tuple of scalar tensors too, which its stubs do not know.
    times: Any = (batch,)
    indices = tf.tile(tf.range(1, num_candidates), times)
    others = tf.repeat(seeds, num_candidates - 1, axis=0)
    others = seeded_uniforms(others, shape, (CANDIDATES, indices))
    others = tf.reshape(others, (batch, num_candidates - 1, *shape))
    together = tf.concat([first[:, None], others], axis=1)
    return tf.reshape(together, (batch * num_candidates, *shape))


def later_known(known: tf.Tensor, order: Array | None = None) -> tf.Tensor:
    """Mark the known pixels after the first unknown one.

    Args:
        known: 1 or 0, `(batch, height, width, colors)`; the colors of a pixel are all
            known or all unknown.
        order: Flat indices of the pixels in the order in which they are sampled, an
            array; by default raster order.

    Returns:
        Booleans of shape `(batch, height, width)`.
    """
    known = known[:, :, :, 0] > 0
    unknown = tf.cast(
        tf.reshape(tf.logical_not(known), (tf.shape(known)[0], -1)), tf.int32
    )
    if order is not None:
        unknown = tf.gather(unknown, order, axis=1)
    begun = tf.cumsum(unknown, axis=1) > 0
    if order is not None:  # Return to raster order.
        begun = tf.gather(begun, np.argsort(order), axis=1)
    return known & tf.reshape(begun, tf.shape(known))


def effective_size(log_weights: tf.Tensor) -> tf.Tensor:
    """Return the effective sample size, `sum(w)**2 / sum(w**2)`.

    Args:
        log_weights: `(batch, num_candidates)`, the largest of each row 0.

    Returns:
        Float32 from 1 to `num_candidates`, of shape `(batch,)`.
    """
    weights = tf.exp(log_weights)
    sums, squares = tf.reduce_sum(weights, 1), tf.reduce_sum(weights**2, 1)
    # Rounding may leave the range by a bit.
    most = tf.cast(tf.shape(log_weights)[1], tf.float32)
    return tf.clip_by_value(sums**2 / squares, 1.0, most)
