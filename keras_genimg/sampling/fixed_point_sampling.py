"""Sampler for any causal graph: forward passes until nothing changes."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_genimg.types import TensorLike


def fixed_point(
    model: keras.Model,
    uniforms: tf.Tensor,
    temperature: float | TensorLike = 1.0,
    conditions: Sequence[TensorLike] = (),
    images: TensorLike | None = None,
    known: TensorLike | None = None,
    report: Callable[[tf.Tensor], Any] | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw images by forward passes with fixed noise until nothing changes.

    Each pass computes the parameters of all sub-pixels and draws all of them again from
    the same noise. The first sub-pixel is correct after one pass, the second after at
    most two, and so on. The fixed point is therefore exactly the image of the ancestral
    sampler. It takes at most as many passes as there are sub-pixels (pixels, if the
    likelihood couples their colors), and far fewer if pixels depend on each other only
    weakly.

    Args:
        model: An `AutoregressiveModel`.
        uniforms: Uniform numbers in `[0, 1)`, `(batch, height, width, colors)`.
        temperature: Divides the logits; broadcasts against `uniforms`.
        conditions: The model's inputs besides the images, in order.
        images: Images whose known pixels are kept, float32; optional.
        known: 1 at known pixels, else 0; broadcasts against `images`.
        report: Function that the graph calls with the number of passes done, or None.

    Returns:
        Float32 images of the shape of `uniforms`, and the number of forward passes, an
        int32 scalar that includes the last pass, which changes nothing.
    """
    most = math.prod(model.likelihood.unit_shape(ops.shape(uniforms)[1:])) + 1

    def step(passes, images, _):
        inputs = [images, *conditions] if conditions else images
        params = model(inputs, training=False)
        drawn = model.likelihood.sample(params, uniforms, temperature)
        if known is not None:
            drawn = tf.where(known > 0, given, drawn)
        if report is not None:
            report(passes + 1)
        return passes + 1, drawn, tf.reduce_any(drawn != images)

    given = images
    start = tf.zeros_like(uniforms)
    if known is not None:
        start = tf.where(known > 0, given, start)
    passes, drawn, _ = tf.while_loop(
        lambda passes, images, changed: changed,
        step,
        (tf.constant(0), start, tf.constant(True)),
        maximum_iterations=most,
    )
    return drawn, passes


def fixed_point_sampler(
    model: keras.Model,
    jit_compile: bool = False,
    report: Callable[[tf.Tensor], Any] | None = None,
) -> Callable[..., tf.Tensor]:
    """Return a function that draws images by `fixed_point`.

    Args:
        model: An `AutoregressiveModel`.
        jit_compile: Whether the graph will be compiled with XLA; not used.
        report: Function that the graph calls with the number of passes done, or None.

    Returns:
        Function of `(uniforms, temperature, conditions, images=None, known=None)` that
        returns float32 images, `(batch, height, width, colors)`.
    """

    def draw(uniforms, temperature, conditions, images=None, known=None):
        images, _ = fixed_point(
            model, uniforms, temperature, conditions, images, known, report
        )
        return images

    return draw
