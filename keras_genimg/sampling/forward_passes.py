"""Samplers of any causal graph, by forward passes of whole images."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from keras import ops

from keras_genimg.model_types import FunctionalModel, PixelModel
from keras_genimg.sampling.pixel_sampler import PixelSampler
from keras_genimg.types import TensorLike


def forward_pass(
    model: FunctionalModel,
    images: TensorLike,
    conditions: Sequence[TensorLike] = (),
    training: bool = False,
) -> Any:
    """Return the parameters of images, with conditions in the order of the inputs."""
    images = tf.cast(images, model.inputs[0].dtype)
    return model([images, *conditions] if conditions else images, training=training)


def ancestral_sampler(model: PixelModel, jit_compile: bool = False) -> PixelSampler:
    """Return a function that samples images with one forward pass for each sub-pixel.

    If the likelihood couples the colors of a pixel, they are sampled together.

    The model only has to be causal. Faster samplers must give the same images.

    Args:
        model: An `AutoregressiveModel`.
        jit_compile: Whether the graph will be compiled with XLA; not used.

    Returns:
        A function of `uniforms` (batch, height, width, colors), a `temperature` that
        broadcasts against them, a list of conditions, and optionally `images` and
        `known`, that returns float32 images of the shape of `uniforms`.
    """
    return _sampler(model, one_by_one=True)


def fixed_point_sampler(model: PixelModel, jit_compile: bool = False) -> PixelSampler:
    """Return a function that samples by forward passes until nothing changes.

    Each pass computes the parameters of all sub-pixels and samples all of them again
    from the same noise. The first sub-pixel is correct after one pass, the second after
    at most two, and so on. The fixed point is therefore exactly the image of the
    ancestral sampler. It takes at most one pass more than there are sub-pixels (pixels,
    if the likelihood couples their colors), and far fewer if pixels depend on each
    other only weakly.

    Args:
        model: An `AutoregressiveModel`.
        jit_compile: Whether the graph will be compiled with XLA; not used.

    Returns:
        A function like that of `ancestral_sampler`.
    """
    return _sampler(model, one_by_one=False)


def _sampler(model: PixelModel, one_by_one: bool) -> PixelSampler:
    """Return a function that samples all sub-pixels again in each forward pass.

    Args:
        model: An `AutoregressiveModel`.
        one_by_one: Whether a pass keeps only one of the sampled sub-pixels, the next
            one. Otherwise, it keeps all, and passes end when nothing changes.
    """

    def sample(
        uniforms: tf.Tensor,
        temperature: float | tf.Tensor,
        conditions: Sequence[tf.Tensor],
        images: tf.Tensor | None = None,
        known: tf.Tensor | None = None,
    ) -> tf.Tensor:
        units = model.likelihood.unit_shape(ops.shape(uniforms)[1:])
        size = math.prod(units)
        position = tf.reshape(tf.range(size), (1, *units, *[1] * (3 - len(units))))

        def with_known(sampled: tf.Tensor):
            return sampled if known is None else tf.where(known > 0, images, sampled)

        def step(index: tf.Tensor, before: tf.Tensor, _: tf.Tensor):
            params = forward_pass(model, before, conditions)
            sampled = with_known(model.likelihood.sample(params, uniforms, temperature))
            if one_by_one:
                sampled = tf.where(position == index, sampled, before)
                return index + 1, sampled, True
            return index + 1, sampled, tf.reduce_any(sampled != before)

        start = tf.zeros_like(uniforms)
        start = start if one_by_one else with_known(start)
        _, sampled, _ = tf.while_loop(
            lambda index, before, unsettled: unsettled,
            step,
            (tf.constant(0), start, tf.constant(True)),
            maximum_iterations=size if one_by_one else size + 1,
        )
        return sampled

    return sample
