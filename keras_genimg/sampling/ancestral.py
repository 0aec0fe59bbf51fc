"""Reference sampler: one forward pass for each sub-pixel, or pixel."""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops


def ancestral_sampler(
    model: keras.Model,
    jit_compile: bool = False,
    report: Callable[[tf.Tensor], Any] | None = None,
) -> Callable[..., tf.Tensor]:
    """Return a function that draws images with one forward pass for each sub-pixel.

    If the likelihood couples the colors of a pixel, they are drawn together.

    The model only has to be causal. Faster samplers must give the same images.

    Args:
        model: An `AutoregressiveModel`.
        jit_compile: Whether the graph will be compiled with XLA; not used.
        report: Function that the graph calls with the number of sub-pixels or pixels
            drawn, or None.

    Returns:
        A function of `uniforms` (batch, height, width, colors), a `temperature` that
        broadcasts against them, a list of conditions, and optionally `images` and
        `known`, that returns float32 images of the shape of `uniforms`.
    """

    def draw(uniforms, temperature, conditions, images=None, known=None):
        units = model.likelihood.unit_shape(ops.shape(uniforms)[1:])
        size = math.prod(units)
        position = tf.reshape(tf.range(size), (1, *units, *[1] * (3 - len(units))))

        def step(index, images):
            inputs = [images, *conditions] if conditions else images
            params = model(inputs, training=False)
            drawn = model.likelihood.sample(params, uniforms, temperature)
            if known is not None:
                drawn = tf.where(known > 0, given, drawn)
            if report is not None:
                report(index + 1)
            return index + 1, tf.where(position == index, drawn, images)

        given = images

        _, images = tf.while_loop(
            lambda index, _: index < size,
            step,
            (tf.constant(0), tf.zeros_like(uniforms)),
            maximum_iterations=size,
        )
        return images

    return draw
