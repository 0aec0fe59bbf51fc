"""Samplers of any causal graph, by forward passes of whole images."""

import math
from collections.abc import Callable

import keras
import tensorflow as tf
from keras import ops


def forward_pass(model, images, conditions=()):
    """Return the parameters of images, with conditions in the order of the inputs."""
    images = tf.cast(images, model.inputs[0].dtype)
    return model([images, *conditions] if conditions else images, training=False)


def ancestral_sampler(
    model: keras.Model, jit_compile: bool = False
) -> Callable[..., tf.Tensor]:
    """Return a function that draws images with one forward pass for each sub-pixel.

    If the likelihood couples the colors of a pixel, they are drawn together.

    The model only has to be causal. Faster samplers must give the same images.

    Args:
        model: An `AutoregressiveModel`.
        jit_compile: Whether the graph will be compiled with XLA; not used.

    Returns:
        A function of `uniforms` (batch, height, width, colors), a `temperature` that
        broadcasts against them, a list of conditions, and optionally `images` and
        `known`, that returns float32 images of the shape of `uniforms`.
    """

    def draw(uniforms, temperature, conditions, images=None, known=None):
        units = model.likelihood.unit_shape(ops.shape(uniforms)[1:])
        size = math.prod(units)
        position = tf.reshape(tf.range(size), (1, *units, *[1] * (3 - len(units))))
        given = uniforms, temperature, conditions, images, known

        def step(index, images):
            drawn = _redrawn(model, images, *given)
            return index + 1, tf.where(position == index, drawn, images)

        _, images = tf.while_loop(
            lambda index, _: index < size,
            step,
            (tf.constant(0), tf.zeros_like(uniforms)),
            maximum_iterations=size,
        )
        return images

    return draw


def fixed_point_sampler(
    model: keras.Model, jit_compile: bool = False
) -> Callable[..., tf.Tensor]:
    """Return a function that draws by forward passes until nothing changes.

    Each pass computes the parameters of all sub-pixels and draws all of them again from
    the same noise. The first sub-pixel is correct after one pass, the second after at
    most two, and so on. The fixed point is therefore exactly the image of the ancestral
    sampler. It takes at most one pass more than there are sub-pixels (pixels, if the
    likelihood couples their colors), and far fewer if pixels depend on each other only
    weakly.

    Args:
        model: An `AutoregressiveModel`.
        jit_compile: Whether the graph will be compiled with XLA; not used.

    Returns:
        A function like that of `ancestral_sampler`.
    """

    def draw(uniforms, temperature, conditions, images=None, known=None):
        most = math.prod(model.likelihood.unit_shape(ops.shape(uniforms)[1:])) + 1
        given = uniforms, temperature, conditions, images, known

        def step(images, _):
            drawn = _redrawn(model, images, *given)
            return drawn, tf.reduce_any(drawn != images)

        start = tf.zeros_like(uniforms)
        if known is not None:
            start = tf.where(known > 0, images, start)
        drawn, _ = tf.while_loop(
            lambda images, changed: changed,
            step,
            (start, tf.constant(True)),
            maximum_iterations=most,
        )
        return drawn

    return draw


def _redrawn(model, images, uniforms, temperature, conditions, given, known):
    """Draw all sub-pixels again, given the present images; keep the known ones."""
    params = forward_pass(model, images, conditions)
    drawn = model.likelihood.sample(params, uniforms, temperature)
    return drawn if known is None else tf.where(known > 0, given, drawn)
